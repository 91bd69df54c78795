"""conn_reuse_mode 0, 2 and 4 with direct routing; 1 to 3 are in reuse.py."""
from packets import *
setup()
v, c = V4, C4
S1, S2 = "10.0.2.11", "10.0.2.12"
def table(): show("sort /proc/net/ip_vs_conn | grep -v ^Pro; ipvsadm -Ln | tail -n +4")
def servers(service, m="-m", port=80): return [f"-A {service} -s rr"] + [f"-a {service} -r {s}:{port} {m}" for s in (S1, S2)]
def one(p): print("  ", dissect(p)[:60], "=>", [f"{ns} {l[:75]}" for ns, l, _ in client(p, quiet=True, wait=.1)], flush=True)
def syn(p, f="S", src=c, dp=80): one(tcp(src, p, v, dp, f))


title("conn_reuse_mode 0 and others: SYN in TIME_WAIT-like states (direct routing)")
for m in (0, 2, 4):
    for seq in (["S", "A", "R"], ["S", "A", "F"], ["S", "A"]):
        reset(*servers(f"-t {v}:80", "-g")); sysctl(net__ipv4__vs__conn_reuse_mode=m); print("  conn_reuse_mode", m, seq)
        for f in seq: syn(4001, f)
        table()
        for f in ("SA", "S"): syn(4001, f)
        table()
sysctl(net__ipv4__vs__conn_reuse_mode=1)
