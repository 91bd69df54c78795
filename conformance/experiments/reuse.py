from packets import *
setup()
v, c, r = V4, C4, R4
C = lambda p, f, **k: client(tcp(c, p, v, 80, f), quiet=True, wait=.05)
S = lambda p, f, **k: server(tcp(r if p % 2 else "10.0.2.12", 80, c, p, f), quiet=True, wait=.05)
def state(p):
    for l in open("/proc/net/ip_vs_conn").readlines()[1:]:
        w = l.split()
        if int(w[2], 16) == p: return f"{w[7]} {w[8]}s -> ..{int(w[5][-2:],16)}"
    return "no connection"
def counts(): return sh("ipvsadm -Ln | grep -- '->' | tail -n +2 | awk '{print $2,\"active\",$5,\"inactive\",$6}'").replace("\n", "; ")
def step(p, who, f):
    (C if who == "C" else S)(p, f); print(f"    {who} {f:3} -> {state(p)} | {counts()}")
title("8 NAT states, active/inactive after each packet (C client, S server)")
reset(f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:80 -m")
for n, seq in enumerate(("C S,S SA,C A,C FA,S A,S FA,C A", "C S,S SA,C A,S FA,C A,C FA,S A", "C S,S SA,C A,C R", "C S,S SA,C A,S R", "C S,C S,S R", "C S,S RA", "C S,C A", "C S,S SA,C FA", "C S,S SA,S FA", "C S,S SA,C A,C FA,S FA,C A,C A,S A", "C S,S SA,C A,S P,C P")):
    p = 4001 + 2 * n; print("  ", seq)
    for st in seq.split(","): step(p, *st.split())
title("8 DR states (only the client's packets)")
reset(f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:80 -g")
for n, seq in enumerate(("C S,C A,C FA,C A", "C S,C A,C A,C R", "C S,C R", "C S,C FA,C A", "C S,C S,C A,C FA,C A,C S")):
    p = 4101 + 2 * n; print("  ", seq)
    for st in seq.split(","): step(p, *st.split())
title("8 DR, the server's answers come through the director too")
for st in "C S,S SA,C A,C FA,S FA,C A".split(","): step(4201, *st.split())
server(tcp(v, 80, c, 4201, "SA"))
print("   ", state(4201))
title("8 UDP: timeouts and counts NAT")
reset(f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r {r}:53 -m")
client(udp(c, 4000, v, 53), quiet=True); print(state(4000), counts()); time.sleep(2); print(state(4000)); server(udp(r, 53, c, 4000)); print(state(4000), counts())
title("5 SYN on existing connections: NAT, two servers, rr; connection made, state reached, SYN sent")
for mode in ("-m", "-g"):
  for name, seq in (("SYN_RECV", "C S"), ("ESTABLISHED", "C S,S SA,C A"), ("FIN_WAIT(server FIN)", "C S,S SA,C A,S FA"), ("CLOSE_WAIT(client FIN)", "C S,S SA,C A,C FA"), ("TIME_WAIT", "C S,S SA,C A,C FA,S FA"), ("LAST_ACK", "C S,S SA,C A,C FA,S FA,C A"), ("CLOSE by C RST", "C S,S SA,C A,C R"), ("CLOSE by S RST", "C S,S SA,C A,S R"), ("DR FIN", "C S,C A,C FA"), ("DR RST", "C S,C A,C R"), ("DR CLOSE", "C S,C A,C FA,C A")):
    for crm in ((1,) if name != "FIN_WAIT(server FIN)" and name != "DR FIN" else (1, 2, 3)):
        reset(f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r 10.0.2.12:80 {mode}", f"-a -t {v}:80 -r {r}:80 {mode}"); sysctl(net__ipv4__vs__conn_reuse_mode=crm)
        for st in seq.split(","): 
            (C if st[0] == "C" else S)(4001, st[2:])
        a, ca = state(4001), counts()
        out = client(tcp(c, 4001, v, 80, "S", seq=99999), quiet=True)
        print(f"  {mode} crm={crm} {name}: {a} | {ca}\n     SYN -> {out[0][1][:44] if out else 'nothing'} | {state(4001)} | {counts()}")
        if name == "TIME_WAIT": stats()
