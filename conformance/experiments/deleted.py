from packets import *
setup()
v, c, r = V4, C4, R4
def est(port):
    client(tcp(c, port, v, 80, "S"), quiet=True, wait=.05); server(tcp(r, 80, c, port, "SA"), quiet=True, wait=.05); client(tcp(c, port, v, 80, "A"), quiet=True, wait=.05)
def both(port):
    client(tcp(c, port, v, 80, "A", data=b"12345")); server(tcp(r, 80, c, port, "A", data=b"12345"))
for exp in (0, 1):
    reset(f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:80 -m"); sysctl(net__ipv4__vs__expire_nodest_conn=exp)
    est(4000)
    title(f"4 expire_nodest_conn={exp}: destination deleted, established connection, both ways"); sh(f"ipvsadm -d -t {v}:80 -r {r}:80"); both(4000); conns(); stats()
    title("4 second destination added, same connection and its SYN again"); sh(f"ipvsadm -a -t {v}:80 -r 10.0.2.12:80 -m"); both(4000); client(tcp(c, 4000, v, 80, "S")); conns()
    title("4 first destination back, then packets"); sh(f"ipvsadm -a -t {v}:80 -r {r}:80 -m"); both(4000); conns(); stats()
    reset(f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:80 -m"); est(4001)
    title(f"4 service deleted, both ways, then FIN/RST/SYN"); sh(f"ipvsadm -D -t {v}:80"); both(4001); client(tcp(c, 4001, v, 80, "FA")); server(tcp(r, 80, c, 4001, "FA")); conns(); client(tcp(c, 4001, v, 80, "S")); client(tcp(c, 4009, v, 80, "S"))
    title(f"4 service and destination added again: works again, counters"); sh(f"ipvsadm -A -t {v}:80 -s rr; ipvsadm -a -t {v}:80 -r {r}:80 -m"); both(4001); conns(); stats()
    reset(f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:80 -m"); est(4002)
    title(f"4 weight 0, both ways, then SYN on the established one and in TIME_WAIT"); sh(f"ipvsadm -e -t {v}:80 -r {r}:80 -m -w 0"); both(4002); client(tcp(c, 4002, v, 80, "S")); client(tcp(c, 4002, v, 80, "FA")); server(tcp(r, 80, c, 4002, "FA")); conns(); client(tcp(c, 4002, v, 80, "S")); conns()
    reset(f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:80 -g"); est(4003)
    title(f"4 DR destination deleted"); sh(f"ipvsadm -d -t {v}:80 -r {r}:80"); client(tcp(c, 4003, v, 80, "A", data=b"12345"))
    sh(f"ipvsadm -A -u {v}:53 -s rr; ipvsadm -a -u {v}:53 -r {r}:53 -m"); client(udp(c, 4004, v, 53), quiet=True); server(udp(r, 53, c, 4004), quiet=True)
    title(f"4 UDP NAT destination deleted"); sh(f"ipvsadm -d -u {v}:53 -r {r}:53"); client(udp(c, 4004, v, 53)); server(udp(r, 53, c, 4004)); conns()
