"""The end of templates and connections: a postponed template used again; services deleted and flushed with expire_nodest_conn."""
from packets import *
setup()
v, c = V4, C4
S1, S2 = "10.0.2.11", "10.0.2.12"
def table(): show("sort /proc/net/ip_vs_conn | grep -v ^Pro; ipvsadm -Ln | tail -n +4")
def servers(service, m="-m", port=80): return [f"-A {service} -s rr"] + [f"-a {service} -r {s}:{port} {m}" for s in (S1, S2)]
def one(p): print("  ", dissect(p)[:60], "=>", [f"{ns} {l[:75]}" for ns, l, _ in client(p, quiet=True, wait=.1)], flush=True)
def syn(p, f="S", src=c, dp=80): one(tcp(src, p, v, dp, f))


title("1 a template of 5 s that was postponed by 60 s, then a new connection")
reset(f"-A -t {v}:80 -s rr -p 5", *servers(f"-t {v}:80", "-g")[1:]); syn(4001); time.sleep(7); table(); syn(4002); table()
title("2 service deleted, then flushed, with expire_nodest_conn 1 and another service present")
for how in (f"-D -t {v}:80", "-C"):
    reset(f"-A -u {v}:53 -s rr", *servers(f"-t {v}:80")); sysctl(net__ipv4__vs__expire_nodest_conn=1); syn(4001); syn(4001, "A"); sh("ipvsadm " + how); time.sleep(2); table()
sysctl(net__ipv4__vs__expire_nodest_conn=0)
title("3 a server deleted, setting on, another server's connections and templates stay")
reset(f"-A -t {v}:80 -s rr -p 300", *servers(f"-t {v}:80")[1:]); sysctl(net__ipv4__vs__expire_nodest_conn=1); syn(4001); syn(4001, src="10.0.1.3"); table(); sh(f"ipvsadm -d -t {v}:80 -r {S1}:80"); time.sleep(2); table()
title("4 an orphan template alone: its connection ended before its server is deleted")
reset(f"-A -t {v}:80 -s rr -p 300", *servers(f"-t {v}:80", "-g")[1:]); sysctl(net__ipv4__vs__expire_nodest_conn=1); syn(4001); syn(4001, "A"); syn(4001, "R"); time.sleep(11); table(); sh(f"ipvsadm -d -t {v}:80 -r {S2}:80"); time.sleep(2); table()
