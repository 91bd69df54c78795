from packets import *
setup()
v, c, r = V4, C4, R4
def est(port):
    client(tcp(c, port, v, 80, "S"), quiet=True, wait=.05); server(tcp(r, 80, c, port, "SA"), quiet=True, wait=.05); client(tcp(c, port, v, 80, "A"), quiet=True, wait=.05)
def both(port):
    client(tcp(c, port, v, 80, "A", data=b"12345")); server(tcp(r, 80, c, port, "A", data=b"12345"))
keep = ("-A -t 10.0.1.100:99 -s rr", "-a -t 10.0.1.100:99 -r 10.0.2.13:99 -m")
for mode in ("-m", "-g"):
    for exp in (0, 1):
        reset(*keep, f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:80 {mode}"); sysctl(net__ipv4__vs__expire_nodest_conn=exp)
        est(4001)
        title(f"4 {mode} expire_nodest_conn={exp} service deleted, another service remains: both ways, FIN, SYN"); sh(f"ipvsadm -D -t {v}:80"); both(4001); conns(); client(tcp(c, 4001, v, 80, "FA")); server(tcp(r, 80, c, 4001, "FA")); conns(); client(tcp(c, 4001, v, 80, "S")); client(tcp(c, 4009, v, 80, "S")); conns()
        sh("ipvsadm -A -t 10.0.1.100:98 -s rr; ipvsadm -A -t 10.0.1.100:97 -s rr")
        title(f"4 service and destination added again (other services made in between)"); sh(f"ipvsadm -A -t {v}:80 -s rr; ipvsadm -a -t {v}:80 -r {r}:80 {mode}"); both(4001); conns(); stats()
reset(*keep, f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:80 -m"); sysctl(net__ipv4__vs__expire_nodest_conn=1)
title("4 expire_nodest_conn=1, weight 0, SYN on an established connection; other destination available")
est(4002); sh(f"ipvsadm -e -t {v}:80 -r {r}:80 -m -w 0; ipvsadm -a -t {v}:80 -r 10.0.2.12:80 -m"); both(4002); client(tcp(c, 4002, v, 80, "S")); conns(); stats()
