from packets import *
setup()
v, c, r = V4, C4, R4
def f4(src, dst, proto, seg, size, ident=77):
    out = []
    for o in range(0, len(seg), size):
        out.append(ip(src, dst, proto, seg[o:o + size], ident=ident, df=False, mf=o + size < len(seg), off=o))
    return out
def burst(ns, ps):
    for p in ps[:-1]:
        print(f"  {ns} sends: {dissect(p)}"); PORTS[ns].send((DC + CMAC if ns == "cl" else DR + RMAC) + b"\x08\0" + p)
    send(ns, ps[-1])
for mode in ("-m", "-g"):
    reset(f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r {r}:53 {mode}")
    title(f"10 {mode} UDP datagram of 2000 bytes in two fragments; in reverse order; only the first; then stats")
    fr = f4(c, v, 17, udp_seg(c, 4000, v, 53, b"f" * 2000), 1480)
    burst("cl", fr); burst("cl", f4(c, v, 17, udp_seg(c, 4000, v, 53, b"f" * 2000), 1480, 78)[::-1]); burst("cl", f4(c, v, 17, udp_seg(c, 4000, v, 53, b"f" * 2000), 1480, 79)[:1])
    if mode == "-m":
        print("  answer in fragments"); burst("rs", f4(r, c, 17, udp_seg(r, 53, c, 4000, b"g" * 2000), 1480, 80))
    stats()
def est(p):
    client(tcp(c, p, v, 80, "S"), quiet=True, wait=.05); server(tcp(r, 80, c, p, "SA"), quiet=True, wait=.05); client(tcp(c, p, v, 80, "A"), quiet=True, wait=.05)
for mode in ("-m", "-g"):
    reset(f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:80 {mode}", f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r {r}:53 {mode}")
    title(f"11 {mode} bad TCP checksum (SYN, data), bad UDP checksum, bad IP header checksum; server's bad TCP checksum")
    client(tcp(c, 4000, v, 80, "S", badc=True)); est(4000); client(tcp(c, 4000, v, 80, "A", data=b"abc", badc=True)); client(udp(c, 4001, v, 53, badc=True)); client(tcp(c, 4000, v, 80, "A", bad=True))
    if mode == "-m": server(tcp(r, 80, c, 4000, "A", data=b"abc", badc=True))
    title(f"14 {mode} UDP checksum 0 both ways"); client(udp(c, 4002, v, 53, zero=True)); server(udp(r, 53, c, 4002, zero=True))
    title(f"15 {mode} client source port 20"); client(tcp(c, 20, v, 80, "S")); client(udp(c, 20, v, 53)); conns(); stats()
    title(f"12 {mode} first packets: SA, SF, SR, SFR, none, A, F, P; sloppy_tcp 0, then 1")
    for sl in (0, 1):
        sysctl(net__ipv4__vs__sloppy_tcp=sl)
        for i, f in enumerate(("SA", "SF", "SR", "SFRA", "", "A", "FA", "P", "R")):
            client(tcp(c, 4100 + i + 20 * sl, v, 80, f))
    sysctl(net__ipv4__vs__sloppy_tcp=0)
    conns()
    title(f"12 {mode} truncated: TCP with 8 bytes, UDP with 4 bytes, TCP doff 4")
    client(ip(c, v, 6, tcp(c, 4200, v, 80, "S")[20:28])); client(ip(c, v, 17, udp_seg(c, 4201, v, 53, b"")[:4])); p = bytearray(tcp(c, 4202, v, 80, "S")); p[32] = 0x40; client(bytes(p))
    p = bytearray(udp(c, 4203, v, 53)); p[25] = 99; client(bytes(p)); conns()
    title(f"12 {mode} IP options (NOP NOP NOP EOL), broadcast source MAC fine; trailing bytes")
    q = tcp(c, 4300, v, 80, "S"); h = bytearray(q[:20] + b"\x01\x01\x01\x00"); h[0] = 0x46; h[2:4] = struct.pack("!H", 44); h[10:12] = b"\0\0"; h[10:12] = struct.pack("!H", csum(bytes(h)))
    client(bytes(h) + q[20:]); client(tcp(c, 4301, v, 80, "S") + b"\0" * 6)
title("17 destination ports: dest port 0 on a service with port; several ports; fwmark with NAT port 0 and port 8080")
for o in ("-m", "-g"):
    reset(f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:0 {o}", f"-A -t {v}:81 -s rr", f"-a -t {v}:81 -r {r}:8080 {o}", f"-A -t {v}:0 -s rr -p 60", f"-a -t {v}:0 -r {r}:0 {o}"); show("ipvsadm -Sn")
    client(tcp(c, 4000, v, 80, "S")); client(tcp(c, 4001, v, 81, "S")); client(tcp(c, 4002, v, 4444, "S")); conns()
    sh("iptables -t mangle -F; iptables -t mangle -A PREROUTING -i c0 -j MARK --set-mark 7")
    reset(f"-A -f 7 -s rr", f"-a -f 7 -r {r}:0 {o}", f"-a -f 7 -r 10.0.2.12:8080 {o}"); show("ipvsadm -Sn")
    client(tcp(c, 4000, v, 80, "S")); client(tcp(c, 4001, v, 81, "S")); client(udp(c, 4002, v, 82)); client(udp(c, 4003, v, 83)); server(udp("10.0.2.12", 8080, c, 4003)); server(udp(r, 82, c, 4002)); server(udp("10.0.2.12", 8080, c, 4002)); conns(); stats()
    sh("iptables -t mangle -F")
title("13 destination on the director: NAT to a local address, DR to a local address; a UDP echo and a TCP server run there")
import threading
def echo():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.0.2.1", 5300))
    while True:
        d, a = s.recvfrom(2000); s.sendto(b"echo", a)
threading.Thread(target=echo, daemon=True).start()
def echo2():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((v, 53))
    while True:
        d, a = s.recvfrom(2000); s.sendto(b"vip", a)
threading.Thread(target=echo2, daemon=True).start()
t = socket.socket(); t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); t.bind(("10.0.2.1", 8080)); t.listen()
reset(f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r 10.0.2.1:5300 -m", f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r 10.0.2.1:8080 -m"); show("ipvsadm -Ln | tail -n +4")
client(udp(c, 4000, v, 53, ttl=1)); client(tcp(c, 4001, v, 80, "S")); client(tcp(c, 4001, v, 80, "S", ttl=1)); conns(); stats()
reset(f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r 10.0.2.1:53 -g"); client(udp(c, 4000, v, 53, ttl=1)); conns(); stats()
reset(f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r 127.0.0.1:53 -m"); client(udp(c, 4000, v, 53)); conns()
reset(f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r {v}:53 -m"); client(udp(c, 4000, v, 53)); conns(); stats()
