from packets import *
setup(mtu_r=1300)
for v, c, r in ((V4, C4, R4), (V6, C6, R6)):
    b = lambda a: f"[{a}]" if ":" in a else a
    for mode in ("-m", "-g"):
        reset(f"-A -t {b(v)}:80 -s rr", f"-a -t {b(v)}:80 -r {b(r)}:80 {mode}", f"-A -u {b(v)}:53 -s rr", f"-a -u {b(v)}:53 -r {b(r)}:53 {mode}")
        title(f"9 {v} {mode}: server link MTU 1300; client sends 1400 bytes of IP: UDP DF (first packet), TCP DF on a connection, then without DF")
        client(udp(c, 4001, v, 53, data=b"x" * 1372))
        client(tcp(c, 4000, v, 80, "S"), quiet=True); server(tcp(r, 80, c, 4000, "SA"), quiet=True); client(tcp(c, 4000, v, 80, "A"), quiet=True)
        stats()
        client(tcp(c, 4000, v, 80, "A", data=b"x" * 1360))
        if v == V4:
            client(udp(c, 4001, v, 53, data=b"x" * 1372, df=False)); client(tcp(c, 4000, v, 80, "A", data=b"x" * 1360, df=False))
        conns(); stats()
        title("9 pmtu_disc=0, DF"); sysctl(net__ipv4__vs__pmtu_disc=0); client(tcp(c, 4000, v, 80, "A", data=b"x" * 1360)); sysctl(net__ipv4__vs__pmtu_disc=1)
    sh("ip link set r0 mtu 1500; ip link set c0 mtu 1280; ip netns exec rs ip link set eth0 mtu 1500")
    reset(f"-A -t {b(v)}:80 -s rr", f"-a -t {b(v)}:80 -r {b(r)}:80 -m")
    client(tcp(c, 4000, v, 80, "S"), quiet=True); server(tcp(r, 80, c, 4000, "SA"), quiet=True); client(tcp(c, 4000, v, 80, "A"), quiet=True)
    title(f"9 {v} NAT answer larger than the client link's MTU 1280: DF, then not"); server(tcp(r, 80, c, 4000, "A", data=b"x" * 1360)); 
    if v == V4: server(tcp(r, 80, c, 4000, "A", data=b"x" * 1360, df=False))
    stats()
    sh("ip link set r0 mtu 1300; ip link set c0 mtu 1500")
