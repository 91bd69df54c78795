from packets import *
setup(); sh("sysctl -qw net.ipv4.conf.all.accept_local=1 net.ipv4.conf.r0.accept_local=1")
v, c, r = V4, C4, R4
def state(p):
    for l in open("/proc/net/ip_vs_conn").readlines()[1:]:
        w = l.split()
        if int(w[2], 16) == p: return f"{w[7]} {w[8]}s"
reset(f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:80 -g", f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r {r}:53 -g")
title("8 DR, answers of the server (source VIP) pass through the director (accept_local)")
for who, f in (("C", "S"), ("S", "SA"), ("C", "A"), ("S", "A"), ("C", "FA"), ("S", "FA"), ("C", "A")):
    (client(tcp(c, 4000, v, 80, f)) if who == "C" else server(tcp(v, 80, c, 4000, f, data=b"z" * 10))); print("   ", state(4000))
client(udp(c, 4001, v, 53)); server(udp(v, 53, c, 4001)); server(tcp(v, 80, c, 4002, "SA")); server(tcp(v, 80, c, 4000, "A", ttl=1)); conns(); stats()
title("6 DR: answer to an unknown client flow with nat_icmp_send=1"); sysctl(net__ipv4__vs__nat_icmp_send=1); server(tcp(v, 80, c, 4009, "SA"))
