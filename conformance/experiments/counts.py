from packets import *
setup()
v, c, r = V4, C4, R4
title("18 counters right after schedule and ties: three equal servers (added 11, 12, 13), SYNs only; then UDP")
for s in ("wlc", "lc", "sed", "nq", "rr", "wrr"):
    reset(f"-A -t {v}:80 -s {s}", *(f"-a -t {v}:80 -r 10.0.2.{i}:80 -m" for i in (11, 12, 13)), f"-A -u {v}:53 -s {s}", *(f"-a -u {v}:53 -r 10.0.2.{i}:53 -m" for i in (11, 12, 13)))
    print(" ", s, "TCP:", [client(tcp(c, 4000 + i, v, 80, "S"), quiet=True, wait=.05)[0][1].split(">")[1].split()[0][-2:] for i in range(7)], "UDP:", [client(udp(c, 4000 + i, v, 53), quiet=True, wait=.05)[0][1].split(">")[1].split()[0][-2:] for i in range(7)])
conns()
title("7 zero and deletion against the estimator's tick: counts, -Z at once, listing after 2.1 s; counts, 2.1 s, -Z, listing")
reset(f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r {r}:53 -m")
sh("sleep 0.3")
for i in range(3): client(udp(c, 4000 + i, v, 53), quiet=True, wait=.02)
show("ipvsadm -Ln --stats | tail -n +4"); sh("ipvsadm -Z"); show("ipvsadm -Ln --stats | tail -n +4"); stats()
sh("ipvsadm -Z"); show("ipvsadm -Ln --stats | tail -n +4")
title("13 revive: counts shown (after a tick), service deleted and added, destination revived: zeroed?")
for i in range(3): client(udp(c, 4100 + i, v, 53), quiet=True, wait=.02)
stats(); sh(f"ipvsadm -d -u {v}:53 -r {r}:53; ipvsadm -a -u {v}:53 -r {r}:53 -m"); stats()
sh(f"ipvsadm -A -u {v}:99 -s rr; ipvsadm -D -u {v}:53; ipvsadm -A -u {v}:54 -s rr; ipvsadm -A -u {v}:53 -s rr;  ipvsadm -a -u {v}:53 -r {r}:53 -m"); stats(); show("ipvsadm -Ln")
title("7 v6 bytes and connection thresholds: UDP v6 20 bytes of payload each way"); 
reset(f"-A -u [{V6}]:53 -s rr", f"-a -u [{V6}]:53 -r [{R6}]:53 -m"); client(udp(C6, 4000, V6, 53)); server(udp(R6, 53, C6, 4000)); stats()
title("thresholds: u=2 l=1, SYNs"); reset(f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:80 -m -x 2 -y 1")
for i in range(4): client(tcp(c, 4000 + i, v, 80, "S"))
conns()
