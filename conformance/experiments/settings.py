"""Settings: expire_nodest_conn and sloppy_tcp."""
from packets import *
setup()
v, c = V4, C4
S1, S2 = "10.0.2.11", "10.0.2.12"
def table(): show("sort /proc/net/ip_vs_conn | grep -v ^Pro; ipvsadm -Ln | tail -n +4")
def servers(service, m="-m", port=80): return [f"-A {service} -s rr"] + [f"-a {service} -r {s}:{port} {m}" for s in (S1, S2)]
def one(p): print("  ", dissect(p)[:60], "=>", [f"{ns} {l[:75]}" for ns, l, _ in client(p, quiet=True, wait=.1)], flush=True)
def syn(p, f="S", src=c, dp=80): one(tcp(src, p, v, dp, f))


title("1 expire_nodest_conn, server removed with connections: at once, and after 3 s; packets")
for n in (0, 1):
    reset(*servers(f"-t {v}:80"), *servers(f"-u {v}:53", port=53)); sysctl(net__ipv4__vs__expire_nodest_conn=n); print("  expire_nodest_conn", n)
    syn(4001); syn(4001, "A"); one(udp(c, 4001, v, 53)); table(); sh(f"ipvsadm -d -t {v}:80 -r {S2}:80; ipvsadm -d -u {v}:53 -r {S2}:53"); table(); time.sleep(2); table()
    syn(4001, "A"); one(udp(c, 4001, v, 53)); table(); syn(4001, "S"); table()
title("1b set after the removal: data, SYN, datagram")
for k in ("A", "S", "U", "F"):
    reset(*servers(f"-t {v}:80"), *servers(f"-u {v}:53", port=53)); sysctl(net__ipv4__vs__expire_nodest_conn=0)
    syn(4001); syn(4001, "A"); one(udp(c, 4001, v, 53)); sh(f"ipvsadm -d -t {v}:80 -r {S2}:80; ipvsadm -d -u {v}:53 -r {S2}:53"); sysctl(net__ipv4__vs__expire_nodest_conn=1); time.sleep(.5); table()
    if k == "U": one(udp(c, 4001, v, 53))
    else: syn(4001, k)
    table(); time.sleep(1.2); table()
title("1c persistent service, server removed, expire_nodest_conn 1")
reset(f"-A -t {v}:80 -s rr -p 300", *servers(f"-t {v}:80")[1:]); sysctl(net__ipv4__vs__expire_nodest_conn=1)
syn(4001); syn(4001, "A"); sh(f"ipvsadm -d -t {v}:80 -r {S2}:80"); time.sleep(2); table(); syn(4001, "A"); table(); syn(4002); table()
title("1d weight 0: SYN and data on a connection, expire_nodest_conn 0 and 1")
for n in (0, 1):
    for pre in (["S"], ["S", "A"]):
        for f in ("S", "A", "SA", "SR", "SF"):
            reset(*servers(f"-t {v}:80", "-g")); sysctl(net__ipv4__vs__expire_nodest_conn=n); print("  expire_nodest_conn", n, pre, f)
            for p in pre: syn(4001, p)
            sh(f"ipvsadm -e -t {v}:80 -r {S2}:80 -g -w 0"); syn(4001, f); table()
title("1e weight 0, UDP; persistent and weight 0")
reset(*servers(f"-u {v}:53", port=53)); sysctl(net__ipv4__vs__expire_nodest_conn=1); one(udp(c, 4001, v, 53)); sh(f"ipvsadm -e -u {v}:53 -r {S2}:53 -m -w 0"); one(udp(c, 4001, v, 53)); table()
for q in (0, 1):
    reset(f"-A -t {v}:80 -s rr -p 300", *servers(f"-t {v}:80")[1:]); sysctl(net__ipv4__vs__expire_nodest_conn=1, net__ipv4__vs__expire_quiescent_template=q); print("  expire_quiescent_template", q)
    syn(4001); syn(4001, "A"); sh(f"ipvsadm -e -t {v}:80 -r {S2}:80 -m -w 0"); syn(4001, "S"); table()
sysctl(net__ipv4__vs__expire_nodest_conn=0, net__ipv4__vs__expire_quiescent_template=0)
title("2 sloppy_tcp")
for n in (0, 1):
    reset(*servers(f"-t {v}:80", "-g")); sysctl(net__ipv4__vs__sloppy_tcp=n); print("  sloppy_tcp", n)
    for i, f in enumerate(("S", "A", "F", "R", "SA", "SR", "AR", "SF", "FA", "PA", "")): syn(4001 + i, f)
    table()
sysctl(net__ipv4__vs__sloppy_tcp=0)
