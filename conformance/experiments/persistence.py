"""Persistence templates: keys, what listings show, expiry, quiescent and removed servers, thresholds, ASSURED."""
from packets import *
setup()
v, c, r = V4, C4, R4
S1, S2 = "10.0.2.11", "10.0.2.12"


def table(): show("sort /proc/net/ip_vs_conn | grep -v ^Pro; ipvsadm -Ln --persistent-conn | tail -n +4")


def to(out): return [l.split(">")[1].split()[0] + " " + l.split("TCP " if "TCP" in l else "UDP ")[1].split()[0] for ns, l, b in out if ns == "rs"] or [l[:60] for _, l, _ in out] or "nothing"


def syn(src, sport, dport=80, flags="S", dst=v): print(f"  {flags} {src}:{sport}>{dst}:{dport}:", to(client(tcp(src, sport, dst, dport, flags), quiet=True, wait=.1)), flush=True)


def dgram(src, sport, dport, dst=v): print(f"  UDP {src}:{sport}>{dst}:{dport}:", to(client(udp(src, sport, dst, dport), quiet=True, wait=.1)), flush=True)


def two(service, port=":80", m="-m", more=""): return [f"-A {service} {more}", f"-a {service.split(' -s')[0]} -r {S1}{port} {m}", f"-a {service.split(' -s')[0]} -r {S2}{port} {m}"]


title("1 normal: two connections of one client, then another client, then one in the same /24")
reset(*two(f"-t {v}:80 -s rr -p 300"))
syn(c, 4001); syn(c, 4002); syn("10.0.1.3", 4001); table(); show("cat /proc/net/ip_vs; ipvsadm -Lnc")
syn(c, 4001, flags="A"); server(tcp(S2, 80, c, 4001, "SA"), quiet=True); table()
title("1b netmask /24, and edit of the timeout with templates present")
reset(*two(f"-t {v}:80 -s rr -p 300 -M 255.255.255.0"))
syn(c, 4001); syn("10.0.1.3", 4001); table()
sh(f"ipvsadm -E -t {v}:80 -s rr -p 100 -M 255.255.255.0"); syn(c, 4002); table()
title("1c port 8080 at the servers, service with server port, template's ports")
reset(*two(f"-t {v}:80 -s rr -p 300", ":8080")); syn(c, 4001); table()
title("2 port-zero service: ports 80, 443, 22; destinations with port 0, and one where they have port 8080")
reset(*two(f"-t {v}:0 -s rr -p 300", ":0")); syn(c, 4001); syn(c, 4001, 443); syn(c, 20, 22); syn(c, 4003, 21); table()
title("2b a port-zero service beside one for port 80")
reset(*two(f"-t {v}:0 -s rr -p 300", ":0"), *two(f"-t {v}:80 -s rr -p 300")); syn(c, 4001, 443); syn(c, 4001, 80); table()
title("3 FTP service, persistent: 21, then a passive data port, then port 20; another client passive first")
reset(*two(f"-t {v}:21 -s rr -p 300", ":21")); syn(c, 4001, 21); syn(c, 4002, 30000); syn(c, 4003, 20); syn("10.0.1.3", 4001, 30001); syn("10.0.1.3", 4002, 21); syn("10.0.1.4", 4002, 1023); table()
title("3b FTP with a server port of 2121")
reset(*two(f"-t {v}:21 -s rr -p 300", ":2121")); syn(c, 4001, 21); syn(c, 4002, 30000); table()
title("4 IPv6, prefix 64 and 128")
for m in (64, 128):
    reset(f"-A -t [{V6}]:80 -s rr -p 300 -M {m}", *(f"-a -t [{V6}]:80 -r [2001:db8:2::{i}]:80 -m" for i in (11, 12)))
    for s in (C6, "2001:db8:1::3"): print("  ", [l[:60] for _, l, _ in client(tcp(s, 4001, V6, 80, "S"), quiet=True, wait=.1)])
    table()
title("5 firewall marks, v4 and v6")
sh("nft add table ip m; nft add chain ip m p '{ type filter hook prerouting priority mangle; }'; nft add rule ip m p ip daddr 10.0.1.100 meta mark set 258")
sh("nft add table ip6 m; nft add chain ip6 m p '{ type filter hook prerouting priority mangle; }'; nft add rule ip6 m p ip6 daddr 2001:db8:1::100 meta mark set 258")
reset(*two("-f 258 -s rr -p 300", ":0"), "-A -f 258 -6 -s rr -p 300", "-a -f 258 -6 -r [2001:db8:2::11]:0 -m")
syn(c, 4001, 80); syn(c, 4002, 443); dgram(c, 4003, 53); client(tcp(C6, 4001, V6, 80, "S"), quiet=True); table(); show("ipvsadm -Lnc")
sh("nft flush ruleset")
title("6 quiescent server: without and with expire_quiescent_template")
for q in (0, 1):
    reset(*two(f"-t {v}:80 -s rr -p 300")); sysctl(net__ipv4__vs__expire_quiescent_template=q); print("  expire_quiescent_template", q)
    syn(c, 4001); sh(f"ipvsadm -e -t {v}:80 -r {S2}:80 -m -w 0"); syn(c, 4002); syn(c, 4001); table()
title("7 removed server, then added again: its template")
reset(*two(f"-t {v}:80 -s rr -p 300")); syn(c, 4001); syn(c, 4005); sh(f"ipvsadm -d -t {v}:80 -r {S2}:80"); syn(c, 4002); table()
sh(f"ipvsadm -a -t {v}:80 -r {S2}:80 -m"); syn(c, 4003); syn(c, 4001, flags="A"); table()
title("7b removed and added again with no packet between: template is good again?")
reset(*two(f"-t {v}:80 -s rr -p 300")); syn(c, 4001); sh(f"ipvsadm -d -t {v}:80 -r {S2}:80; ipvsadm -a -t {v}:80 -r {S2}:80 -m"); syn(c, 4002); table()
title("8 overloaded server: client with template, client without")
reset(f"-A -t {v}:80 -s rr -p 300", f"-a -t {v}:80 -r {S1}:80 -m -x 1"); syn(c, 4001); syn(c, 4002); syn("10.0.1.3", 4001); table()
title("9 no server at all, only overloaded or of weight 0: is there a template?")
reset(f"-A -t {v}:80 -s rr -p 300", f"-a -t {v}:80 -r {S1}:80 -m -w 0"); syn(c, 4001); table()
title("10 ASSURED: UDP by the answer; TCP by ESTABLISHED")
reset(*two(f"-u {v}:53 -s rr -p 300", ":53")); dgram(c, 4001, 53); dgram(c, 4001, 53); table(); server(udp(S2, 53, c, 4001), quiet=True); table()
reset(*two(f"-t {v}:80 -s rr -p 300", m="-g")); syn(c, 4001); table(); syn(c, 4001, flags="A"); table()
title("11 SYN on a TIME_WAIT or CLOSE connection that has a template (conn_reuse_mode 1)")
reset(*two(f"-t {v}:80 -s rr -p 300", m="-g")); syn(c, 4001); syn(c, 4001, flags="R"); table(); syn(c, 4001); table(); syn(c, 4001, flags="A"); syn(c, 4001, flags="R"); syn(c, 4001); table()
title("12 service without persistence, made persistent later; and back")
reset(*two(f"-t {v}:80 -s rr")); syn(c, 4001); sh(f"ipvsadm -E -t {v}:80 -s rr -p 300"); syn(c, 4002); syn(c, 4003); sh(f"ipvsadm -E -t {v}:80 -s rr"); syn(c, 4004); syn(c, 4005); table()
title("13 expiry: timeout 5 s, connection of 900 s; then the connection ends (10 s)")
reset(*two(f"-t {v}:80 -s rr -p 5", m="-g")); syn(c, 4001); syn(c, 4001, flags="A"); time.sleep(4); table(); time.sleep(2); table(); time.sleep(58); table(); syn(c, 4001, flags="R"); table(); time.sleep(10.5); table(); time.sleep(50); table()
title("14 timeout 5 s: refreshed by a new connection, not by packets of one")
reset(*two(f"-t {v}:80 -s rr -p 5", m="-g")); syn(c, 4001); time.sleep(3); syn(c, 4001, flags="A"); table(); syn(c, 4002); table()
title("15 what remains of a template after its service and server are deleted")
reset(*two(f"-t {v}:80 -s rr -p 300")); syn(c, 4001); sh(f"ipvsadm -D -t {v}:80"); table()
