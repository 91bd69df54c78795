"""Defence: drop_packet and secure_tcp; the level changes on write and each second."""
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


title("1 levels on write and later: memory plenty (amemthresh 1024), short (amemthresh 2^31-1)")
for mem in (1024, 2147483647):
    for val in (1, 2, 3, 0):
        set1(amemthresh=mem, drop_packet=0, drop_entry=0, secure_tcp=0); set1(drop_packet=val, drop_entry=val, secure_tcp=val); a = levels(); time.sleep(1.3); print("  ", mem, val, "->", a, "->", levels())
set1(amemthresh=2147483647, drop_packet=1); print("  1 then write 1 again:", levels(), end=" "); set1(drop_packet=1); print(levels()); set1(amemthresh=1024); time.sleep(1.2); print("  memory back:", levels())
set1(drop_packet=0, drop_entry=0, secure_tcp=0)
title("2 drop_packet 3: which of 45 SYNs reach a server, by am_droprate")
for rate in (10, 3, 1, 2, 0, -1):
    reset(*servers(f"-t {v}:80")); set1(am_droprate=rate); set1(drop_packet=3); print("  am_droprate", rate, pattern(45 if rate == 10 else 14, 4001)); set1(drop_packet=0)
set1(am_droprate=10)
title("2b drop_packet 1 under memory shortage: rate amemthresh/(amemthresh - available)")
reset(*servers(f"-t {v}:80")); set1(amemthresh=2147483647); set1(drop_packet=1); print("  ", pattern(8, 4001)); set1(drop_packet=0, amemthresh=1024)
title("2c rate 1: what is tested: no service, source port 20, ACK, existing connection, persistent client, UDP, one-packet")
reset(*servers(f"-t {v}:80"), *servers(f"-u {v}:53", port=53), *servers(f"-u {v}:54", more="-o", port=54), *servers(f"-t {v}:90", more="-p 100", port=90), *servers(f"-t {v}:0", more="-p 100", port=0))
syn(4001); syn(4001, dp=90); set1(am_droprate=1); set1(drop_packet=3)
for what, p in (("existing", tcp(c, 4001, v, 80, "A")), ("new", tcp(c, 4002, v, 80, "S")), ("port 20", tcp(c, 20, v, 80, "S")), ("ACK", tcp(c, 4003, v, 80, "A")), ("template", tcp(c, 4004, v, 90, "S")), ("udp", udp(c, 4004, v, 53)), ("udp port 20", udp(c, 20, v, 53)), ("ops", udp(c, 4004, v, 54)), ("none udp", udp(c, 4004, v, 55))): print("  ", what, [f"{ns} {l[:70]}" for ns, l, _ in client(p, quiet=True, wait=.1)])
set1(drop_packet=0, am_droprate=10)
title("3 secure_tcp: states")
def state(p):
    for l in open("/proc/net/ip_vs_conn").readlines()[1:]:
        w = l.split()
        if int(w[2], 16) == p: return f"{w[7]} {w[8]}"
for m in ("-m", "-g"):
    reset(*servers(f"-t {v}:80", m))
    for lev in (0, 3, 1):
        set1(secure_tcp=lev)
        for n, seq in enumerate(("C S,S SA,C A", "C S,C A,C A", "C S,S SA,C A,C A,S A", "C S,S SA,C R", "C S,C F")):
            p = 4001 + lev * 20 + n * 2; out = []
            for st in seq.split(","):
                w, f = st.split()
                if w == "C": syn(p, f)
                elif m == "-m": [server(tcp(s, 80, c, p, f), quiet=True, wait=.03) for s in (S1, S2)]
                out.append(f"{st}={state(p)}")
            print("  ", m, lev, "; ".join(out), sh("ipvsadm -Ln | tail -n +4 | awk '{print $5,$6}'").replace("\n", "|"))
set1(secure_tcp=0)
