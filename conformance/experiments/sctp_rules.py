"""SCTP: what starts a connection, what is rewritten, refusals, ICMP errors, reuse, sloppy_sctp."""
from sctp import *
B = lambda a: f"[{a}]" if ":" in a else a
setup()
for v, c, r in ((V4, C4, R4), (V6, C6, R6)):
    for m, port in (("-m", 80), ("-m", 8080), ("-g", 80)):
        reset(f"-A --sctp-service {B(v)}:80 -s rr", f"-a --sctp-service {B(v)}:80 -r {B(r)}:{port} {m}")
        title(f"{v} {m} {port}: an association")
        walk = [("c", "init"), ("s", "ia"), ("c", "ce"), ("s", "ca"), ("c", "data"), ("s", "sack"), ("c", "s"), ("s", "sa"), ("c", "sc")]
        for who, chunk in walk:
            if m == "-g" and who == "s":
                continue
            p = sctp(c, 4000, v, 80, chunk) if who == "c" else sctp(r, port, c, 4000, chunk)
            print(f" {who} {chunk}"); go(who, p); print("   ", states())
        show("ipvsadm -Ln | tail -n +4"); stats()
        title("init again on the closed one"); go("c", sctp(c, 4000, v, 80, "init")); print("   ", states())
        title("bad crc, then a cut packet, then no chunk"); go("c", sctp(c, 4001, v, 80, "init", bad=True)); print("   ", states())
        go("c", sctp(c, 4002, v, 80, "init", cut=10)); go("c", sctp(c, 4003, v, 80)); go("c", sctp(c, 4003, v, 80, "init", cut=14)); print("   ", states())
for sloppy in (0, 1):
    sysctl(net__ipv4__vs__sloppy_sctp=sloppy)
    title(f"first chunk of a new connection, sloppy_sctp={sloppy}")
    for i, chunk in enumerate(CHUNKS):
        reset(f"-A --sctp-service {V4}:80 -s rr", f"-a --sctp-service {V4}:80 -r {R4}:8080 -m")
        sysctl(net__ipv4__vs__sloppy_sctp=sloppy)
        print(chunk, [about(b) + " " + ns for ns, l, b in client(sctp(C4, 5000 + i, V4, 80, chunk), quiet=True)], states())
    print("ce abort", [about(b) + " " + ns for ns, l, b in client(sctp(C4, 5100, V4, 80, "ce", "abort"), quiet=True)], states())
sysctl(net__ipv4__vs__sloppy_sctp=0)
title("no destination")
reset(f"-A --sctp-service {V4}:80 -s rr")
go("c", sctp(C4, 4000, V4, 80, "init"))
title("bad crc with the port unchanged: NAT, both ways; zero crc")
reset(f"-A --sctp-service {V4}:80 -s rr", f"-a --sctp-service {V4}:80 -r {R4}:80 -m")
go("c", sctp(C4, 4000, V4, 80, "init")); go("c", sctp(C4, 4000, V4, 80, "data", bad=True)); go("s", sctp(R4, 80, C4, 4000, "data", bad=True)); print("   ", states())
title("ICMP errors both ways")
p = sctp(V4, 80, C4, 4000, "data"); go("c", icmp(C4, V4, 3, 2, 0, p)); p = sctp(C4, 4000, R4, 80, "data"); go("s", icmp(R4, C4, 3, 2, 0, p))
title("from a server without a connection"); go("s", sctp(R4, 80, C4, 4444, "data")); sysctl(net__ipv4__vs__nat_icmp_send=1); go("s", sctp(R4, 80, C4, 4444, "data")); go("s", sctp(R4, 80, C4, 4444, "abort")); sysctl(net__ipv4__vs__nat_icmp_send=0)
title("persistence: template's state on init, then established")
reset(f"-A --sctp-service {V4}:80 -s rr -p 100", f"-a --sctp-service {V4}:80 -r {R4}:80 -m")
for who, chunk in walk[:4]:
    go(who, sctp(C4, 4000, V4, 80, chunk) if who == "c" else sctp(R4, 80, C4, 4000, chunk)); show("cat /proc/net/ip_vs_conn | tail -n +2")
