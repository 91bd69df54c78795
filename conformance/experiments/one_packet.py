"""One-packet scheduling: spread, counts, answers, thresholds, with persistence; nat_icmp_send."""
from packets import *
setup()
v, c = V4, C4
S1, S2 = "10.0.2.11", "10.0.2.12"


def table(): show("sort /proc/net/ip_vs_conn | grep -v ^Pro; ipvsadm -Ln | tail -n +4; ipvsadm -Ln --persistent-conn | tail -n +4")


def servers(service, m="-m", more="", port=53): return [f"-a {service} -r {s}:{port} {m} {more}" for s in (S1, S2)]


def ask(n, sport=4001, src=c, port=53): print("  ", [l.split(">")[1].split()[0][-2:] if ns == "rs" else l[:70] for _ in range(n) for ns, l, b in client(udp(src, sport, v, port), quiet=True, wait=.05)], flush=True)


title("1 six datagrams from one port, rr, masquerading")
reset(f"-A -u {v}:53 -s rr -o", *servers(f"-u {v}:53")); ask(6); table(); server(udp(S1, 53, c, 4001)); stats()
title("2 direct routing, wlc and sed and lc")
for s in ("wlc", "sed", "lc", "nq"): reset(f"-A -u {v}:53 -s {s} -o", *servers(f"-u {v}:53", "-g")); ask(6)
table(); stats()
title("3 thresholds")
for x, y in ((1, 0), (1, 1), (2, 1), (4, 0), (3, 2)): reset(f"-A -u {v}:53 -s rr -o", f"-a -u {v}:53 -r {S1}:53 -m -x {x} -y {y}"); print("  ", x, y); ask(3)
title("4 TCP service with -o")
reset(f"-A -t {v}:80 -s rr -o", *servers(f"-t {v}:80", port=80))
client(tcp(c, 4001, v, 80, "S")); client(tcp(c, 4001, v, 80, "A")); table()
title("5 with persistence")
reset(f"-A -u {v}:53 -s rr -o -p 300", *servers(f"-u {v}:53")); ask(4); table(); server(udp(S2, 53, c, 4001)); table(); stats()
title("5b firewall mark and one packet, TCP and UDP")
sh("nft add table ip m; nft add chain ip m p '{ type filter hook prerouting priority mangle; }'; nft add rule ip m p ip daddr 10.0.1.100 meta mark set 258")
reset("-A -f 258 -s rr -o", *servers("-f 258", "-g", port=0)); ask(4); client(tcp(c, 4001, v, 80, "S")); table()
sh("nft flush ruleset")
title("6 a connection from before -o was set takes its datagrams")
reset(f"-A -u {v}:53 -s rr", *servers(f"-u {v}:53")); ask(2); sh(f"ipvsadm -E -u {v}:53 -s rr -o"); ask(2); ask(3, 4002); table()
title("7 ICMP error about a one-packet datagram, from the server and from the client")
reset(f"-A -u {v}:53 -s rr -o", *servers(f"-u {v}:53"))
server(icmp(S1, c, 3, 3, 0, udp(c, 4001, S1, 53)[:36])); client(icmp(c, v, 3, 3, 0, udp(v, 53, c, 4001)[:36]))
title("8 nat_icmp_send: packets from a real server that belong to no connection")
for n in (0, 1):
    reset(f"-A -u {v}:53 -s rr", *servers(f"-u {v}:53"), f"-A -t {v}:80 -s rr", *servers(f"-t {v}:80", port=80), f"-A -t {v}:81 -s rr", *servers(f"-t {v}:81", "-g", port=81)); sysctl(net__ipv4__vs__nat_icmp_send=n); print("  nat_icmp_send", n)
    server(udp(S1, 53, c, 4001)); server(udp(S1, 54, c, 4001)); server(udp(S1, 80, c, 4001))
    for f in ("A", "SA", "R", "RA", "S", "F"): server(tcp(S1, 80, c, 4001, f))
    server(tcp(S1, 81, c, 4001, "A")); server(tcp("10.0.2.13", 80, c, 4001, "A")); server(icmp(S1, c, 8, 0, 0, b"x" * 20))
sysctl(net__ipv4__vs__nat_icmp_send=0)
