"""drop_entry 3: what of many connections is left after some seconds."""
from packets import *
setup()
v, c = V4, C4
S1, S2 = "10.0.2.11", "10.0.2.12"
def table(): show("sort /proc/net/ip_vs_conn | grep -v ^Pro; ipvsadm -Ln | tail -n +4")
def servers(service, m="-g", more="", port=80): return [f"-A {service} -s rr {more}"] + [f"-a {service} -r {s}:{port} {m}" for s in (S1, S2)]
def syn(p, f="S", src=c, dp=80): return client(tcp(src, p, v, dp, f), quiet=True, wait=.03)
def levels(*names): return {n: sh(f"sysctl -n net.ipv4.vs.{n}").strip() for n in (names or ("drop_packet", "drop_entry", "secure_tcp"))}
def set1(**kv):
    for k, val in kv.items(): sh(f"sysctl -qw net.ipv4.vs.{k}={val}")
def pattern(n, start, f="S"): return "".join("x" if [1 for ns, l, b in syn(start + i, f) if ns == "rs"] else "." for i in range(n))


title("drop_entry 3: 300 half-open, 300 established (idle under 60 s), 300 datagrams, for 25 s; then 300 persistent half-open ones")
reset(*servers(f"-t {v}:80"), *servers(f"-t {v}:81", port=81), *servers(f"-u {v}:53", port=53), *servers(f"-t {v}:82", port=82, more="-p 300 -M 255.255.255.255"), *servers(f"-t {v}:83", port=83, more="-p 300"))
def many():
    for i in range(300):
        PORTS["cl"].send(DC + CMAC + b"\x08\x00" + tcp(c, 5000 + i, v, 80, "S")); PORTS["cl"].send(DC + CMAC + b"\x08\x00" + tcp(c, 5000 + i, v, 81, "S")); PORTS["cl"].send(DC + CMAC + b"\x08\x00" + tcp(c, 5000 + i, v, 81, "A")); PORTS["cl"].send(DC + CMAC + b"\x08\x00" + udp(c, 5000 + i, v, 53))
        PORTS["cl"].send(DC + CMAC + b"\x08\x00" + tcp(f"10.1.{i//250}.{i%250+1}", 5000 + i, v, 82, "S"))
        PORTS["cl"].send(DC + CMAC + b"\x08\x00" + tcp(f"10.1.{i//250}.{i%250+1}", 5000 + i, v, 83, "S")); PORTS["cl"].send(DC + CMAC + b"\x08\x00" + tcp(f"10.1.{i//250}.{i%250+1}", 5000 + i, v, 83, "A"))
        if i % 20 == 19: time.sleep(.05)
sh("ip route add 10.1.0.0/16 via 10.0.1.254")
def count():
    n = {}
    for l in open("/proc/net/ip_vs_conn").readlines()[1:]:
        w = l.split(); k = f"{w[0]} {int(w[4], 16)} {w[7]} {'template' if w[2] == '0000' else ''}"; n[k] = n.get(k, 0) + 1
    return dict(sorted(n.items()))
many(); time.sleep(.5); print("  ", count()); set1(drop_entry=3)
for _ in range(5): time.sleep(5); print("  ", count())
show("ipvsadm -Ln | tail -n +4; ipvsadm -Ln --persistent-conn | tail -n +4")
orphans = [1 for l in open("/proc/net/ip_vs_conn").readlines()[1:]]
t = {l.split()[1] for l in open("/proc/net/ip_vs_conn").readlines()[1:] if int(l.split()[4], 16) == 82 and l.split()[2] == "0000"}
k = {l.split()[1] for l in open("/proc/net/ip_vs_conn").readlines()[1:] if int(l.split()[4], 16) == 82 and l.split()[2] != "0000"}
print("   templates of port 82 without a connection:", len(t - k), "connections without a template:", len(k - t))
set1(drop_entry=0)
