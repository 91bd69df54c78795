"""What becomes of the template of a connection that is ended early (expire_nodest_conn): not ASSURED, and ASSURED."""
from packets import *
setup()
v, c = V4, C4
S1, S2 = "10.0.2.11", "10.0.2.12"
def table(): show("sort /proc/net/ip_vs_conn | grep -v ^Pro")
def syn(p, f="S"): print(f"   {p} {f or 'none'} =>", [f"{ns} {l[:50]}" for ns, l, _ in client(tcp(c, p, v, 80, f), quiet=True, wait=.1)], flush=True)


for pre in (["S"], ["S", "A"]):
    for quiescent in (0, 1):
        title(f"1 {pre}, server's weight 0, expire_quiescent_template {quiescent}, SYN")
        reset(f"-A -t {v}:80 -s rr -p 300", f"-a -t {v}:80 -r {S1}:80 -m", f"-a -t {v}:80 -r {S2}:80 -m"); sysctl(net__ipv4__vs__expire_nodest_conn=1, net__ipv4__vs__expire_quiescent_template=quiescent)
        for f in pre: syn(4001, f)
        sh(f"ipvsadm -e -t {v}:80 -r {S2}:80 -m -w 0"); syn(4001); time.sleep(.3); table()
    for f in ("S", "A", "SR"):
        title(f"2 {pre}, server removed, then the setting made, {f}")
        reset(f"-A -t {v}:80 -s rr -p 300", f"-a -t {v}:80 -r {S1}:80 -m", f"-a -t {v}:80 -r {S2}:80 -m"); sysctl(net__ipv4__vs__expire_nodest_conn=0, net__ipv4__vs__expire_quiescent_template=0)
        for g in pre: syn(4001, g)
        sh(f"ipvsadm -d -t {v}:80 -r {S2}:80"); sysctl(net__ipv4__vs__expire_nodest_conn=1); syn(4001, f); time.sleep(.3); table()
    title(f"3 {pre}, weight 0, SYN with RST")
    reset(f"-A -t {v}:80 -s rr -p 300", f"-a -t {v}:80 -r {S1}:80 -m", f"-a -t {v}:80 -r {S2}:80 -m"); sysctl(net__ipv4__vs__expire_nodest_conn=1)
    for f in pre: syn(4001, f)
    sh(f"ipvsadm -e -t {v}:80 -r {S2}:80 -m -w 0"); syn(4001, "SR"); time.sleep(.3); table()
