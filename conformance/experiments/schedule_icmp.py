"""schedule_icmp: errors about packets of no connection; nat_icmp_send for IPv6."""
from packets import *
setup()
v, c = V4, C4
S1, S2 = "10.0.2.11", "10.0.2.12"
def table(): show("sort /proc/net/ip_vs_conn | grep -v ^Pro; ipvsadm -Ln | tail -n +4")
def servers(service, m="-m", port=80): return [f"-A {service} -s rr"] + [f"-a {service} -r {s}:{port} {m}" for s in (S1, S2)]
def one(p): print("  ", dissect(p)[:60], "=>", [f"{ns} {l[:75]}" for ns, l, _ in client(p, quiet=True, wait=.1)], flush=True)
def syn(p, f="S", src=c, dp=80): one(tcp(src, p, v, dp, f))


title("schedule_icmp: errors about packets of no connection")
for n in (0, 1):
    reset(*servers(f"-t {v}:80"), *servers(f"-u {v}:53", port=53)); sysctl(net__ipv4__vs__schedule_icmp=n); print("  schedule_icmp", n)
    client(icmp(c, v, 3, 4, 1400, udp(v, 53, c, 4001)[:36])); client(icmp("10.0.1.254", v, 3, 3, 0, tcp(v, 80, c, 4001, "A")[:40])); client(icmp("10.0.1.254", v, 11, 0, 0, tcp(v, 81, c, 4001, "A")[:40])); client(icmp("10.0.1.254", v, 3, 3, 0, udp(v, 53, c, 20)[:36])); table(); stats()
title("with a persistent and with a one-packet service")
reset(f"-A -t {v}:80 -s rr -p 300", *servers(f"-t {v}:80")[1:], f"-A -u {v}:53 -s rr -o", *servers(f"-u {v}:53", port=53)[1:]); sysctl(net__ipv4__vs__schedule_icmp=1)
client(icmp("10.0.1.254", v, 3, 3, 0, tcp(v, 80, c, 4001, "A")[:40])); client(icmp("10.0.1.254", v, 3, 3, 0, udp(v, 53, c, 4001)[:36])); table(); stats()
client(tcp(c, 4001, v, 80, "S")); client(icmp("10.0.1.254", v, 3, 3, 0, tcp(v, 80, c, 4001, "A")[:40])); table()
title("IPv6")
reset(f"-A -t [{V6}]:80 -s rr", f"-a -t [{V6}]:80 -r [{R6}]:80 -m"); sysctl(net__ipv4__vs__schedule_icmp=1)
client(icmp("2001:db8:1::254", V6, 1, 4, 0, tcp(V6, 80, C6, 4001, "A"))); client(icmp("2001:db8:1::254", V6, 2, 0, 1400 << 8, tcp(V6, 80, C6, 4002, "A"))); table(); stats()
title("direct routing, and no server; ICMP echo; errors about packets to an address that is no service's")
reset(*servers(f"-t {v}:80", "-g"), f"-A -u {v}:53 -s rr"); sysctl(net__ipv4__vs__schedule_icmp=1)
client(icmp("10.0.1.254", v, 3, 4, 1400, tcp(v, 80, c, 4001, "A")[:40])); client(icmp("10.0.1.254", v, 3, 3, 0, udp(v, 53, c, 4001)[:36])); client(icmp(c, v, 8, 0, 0, b"x" * 20)); client(icmp("10.0.1.254", "10.0.1.1", 3, 3, 0, tcp("10.0.1.1", 80, c, 4001, "A")[:40])); table(); stats()
title("nat_icmp_send, IPv6")
reset(f"-A -t [{V6}]:80 -s rr", f"-a -t [{V6}]:80 -r [{R6}]:80 -m"); sysctl(net__ipv4__vs__nat_icmp_send=1); server(tcp(R6, 80, C6, 4001, "A")); server(tcp(R6, 80, C6, 4001, "R")); server(tcp(R6, 80, C6, 4001, "A", ttl=1)); server(tcp(R6, 80, V6, 4001, "A"))
