from packets import *
setup()
for v, c, r, rt, rt_s in ((V4, C4, R4, "10.0.1.254", "10.0.2.254"), (V6, C6, R6, "2001:db8:1::254", "2001:db8:2::254")):
    b = lambda a: f"[{a}]" if ":" in a else a
    v6 = ":" in v
    DU, FN, TE = ((1, 4), (2, 0), (3, 0)) if v6 else ((3, 3), (3, 4), (11, 0))
    mtu = 1280 if v6 else 1400
    inn = (lambda p: p) if v6 else (lambda p: p[:28])
    for mode in ("-m", "-g"):
        reset(f"-A -t {b(v)}:80 -s rr", f"-a -t {b(v)}:80 -r {b(r)}:80 {mode}", f"-A -u {b(v)}:53 -s rr", f"-a -u {b(v)}:53 -r {b(r)}:{5353 if mode == '-m' else 53} {mode}")
        title(f"6 {v} {mode}: TCP established; client-side router reports about the packet VIP>client")
        client(tcp(c, 4000, v, 80, "S"), quiet=True); server(tcp(r, 80, c, 4000, "SA"), quiet=True); client(tcp(c, 4000, v, 80, "A"), quiet=True)
        client(udp(c, 4001, v, 53), quiet=True); server(udp(r, 5353, c, 4001), quiet=True)
        big = tcp(v, 80, c, 4000, "A", data=b"d" * 1100, seq=1001, ttl=60)
        client(icmp(rt, v, *FN, mtu, inn(big)))
        client(icmp(rt, v, *DU, 0, big[:20 + 20 + (20 if v6 else 0)]))
        client(icmp(rt, v, *TE, 0, inn(big)))
        title("6 client's port unreachable about UDP VIP>client; TTL 1 on it")
        client(icmp(c, v, *DU, 0, udp(v, 53, c, 4001, ttl=60)))
        client(icmp(c, v, *DU, 0, udp(v, 53, c, 4001, ttl=60), ttl=1))
        title("6 embedded checksum of the inner IP header bad; outer icmp checksum bad; unknown flow")
        client(icmp(c, v, *DU, 0, udp(v, 53, c, 4001, ttl=60, bad=True)))
        e = icmp(c, v, *DU, 0, udp(v, 53, c, 4001, ttl=60)); o = 42 if v6 else 22
        client(e[:o] + b"\xab\xcd" + e[o + 2:])
        client(icmp(c, v, *DU, 0, udp(v, 53, c, 4999, ttl=60)))
        title("6 server's port unreachable about UDP client>server (NAT: rewritten address, DR: virtual address)")
        q = udp(c, 4001, r if mode == "-m" else v, 5353 if mode == "-m" else 53, ttl=63)
        server(icmp(r, c, *DU, 0, q, ttl=64, tos=0xc0))
        title("6 server-side router's frag needed / unreachable about TCP client>server")
        q = tcp(c, 4000, r if mode == "-m" else v, 80, "A", data=b"e" * 1100, ttl=62)
        server(icmp(rt_s, c, *FN, mtu, inn(q))); server(icmp(r, c, *FN, mtu, inn(q))); server(icmp(rt_s, c, *TE, 0, q[:60]))
        title("6 server sends ICMP to the VIP about a packet of the director (NAT) from VIP?")
        server(icmp(r, v, *DU, 0, udp(v, 53, c, 4001)))
        conns(); stats()
title("16 echo to the virtual address"); client(icmp(C4, V4, 8, 0, 0x00010001, b"abcdefgh")); client(icmp(C6, V6, 128, 0, 0x00010001, b"abcdefgh"))
title("16 schedule_icmp=1: unreachable for an unknown flow; echo"); sysctl(net__ipv4__vs__schedule_icmp=1)
reset(f"-A -u {V4}:53 -s rr", f"-a -u {V4}:53 -r {R4}:5353 -m")
client(icmp(C4, V4, 3, 3, 0, udp(V4, 53, C4, 4777))); conns()
