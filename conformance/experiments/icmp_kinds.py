from packets import *
setup()
for v, c, r in ((V4, C4, R4), (V6, C6, R6)):
    b = lambda a: f"[{a}]" if ":" in a else a
    v6 = ":" in v
    reset(f"-A -u {b(v)}:53 -s rr", f"-a -u {b(v)}:53 -r {b(r)}:5353 -m")
    client(udp(c, 4001, v, 53), quiet=True); server(udp(r, 5353, c, 4001), quiet=True)
    title(f"which ICMP kinds are related {v}")
    kinds = ((1,0),(2,0),(3,0),(4,0),(4,2),(5,0),(100,0),(127,0)) if v6 else ((3,3),(4,0),(5,1),(11,0),(12,0))
    for t,co in kinds:
        print("to VIP", t, co)
        client(icmp(c, v, t, co, 0x0000, udp(v, 53, c, 4001, ttl=60)))
        print("from server", t, co)
        server(icmp(r, c, t, co, 0, udp(c, 4001, r, 5353, ttl=60)))
    stats()
