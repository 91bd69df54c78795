from packets import *
setup()
for v, c, r in ((V4, C4, R4), (V6, C6, R6)):
    vs = f"[{v}]:80" if ":" in v else f"{v}:80"; vu = vs.replace(":80", ":53")
    rr = f"[{r}]:80" if ":" in r else f"{r}:80"; ru = rr.replace(":80", ":53")
    for nis in (0, 1):
        reset(f"-A -t {vs} -s rr", f"-a -t {vs} -r {rr} -m", f"-A -u {vu} -s rr", f"-a -u {vu} -r {ru} -m")
        sysctl(net__ipv4__vs__nat_icmp_send=nis)
        title(f"3 {v} nat_icmp_send={nis}: packets of a NAT server without a connection: TCP A, SA, R, S, FA; UDP; other port")
        for f in ("A", "SA", "R", "S", "FA"):
            server(tcp(r, 80, c, 5000, f))
        server(udp(r, 53, c, 5000)); server(tcp(r, 81, c, 5000, "A")); server(udp(r, 54, c, 5000))
        conns()
    reset(f"-A -t {vs} -s rr", f"-a -t {vs} -r {rr} -g"); sysctl(net__ipv4__vs__nat_icmp_send=1)
    title(f"3 {v} nat_icmp_send=1, DR server's packet, TCP A")
    server(tcp(r, 80, c, 5000, "A"))
    sysctl(net__ipv4__vs__nat_icmp_send=0)
