"""Tunneling: pmtu_disc off, errors about the outer packet from within the tunnel, errors of the client, a server on the director,
links below the minimum MTU of IPv6."""
from packets import *
B = lambda a: f"[{a}]" if ":" in a else a
TYPES = {"ipip": "--tun-type ipip", "gue": "--tun-type gue --tun-port 6080 --tun-csum", "gre": "--tun-type gre --tun-nocsum", "grec": "--tun-type gre --tun-csum"}
ROUTER = {R4: "10.0.2.13", R6: "2001:db8:2::13"}


def rules(v, r, t):
    reset(f"-A -u {B(v)}:53 -s rr", f"-a -u {B(v)}:53 -r {B(r)}:53 -i {t}", f"-A -t {B(v)}:80 -s rr", f"-a -t {B(v)}:80 -r {B(r)}:80 -i {t}")


def error(v6, router, me, typ, code, rest, outer, n=None):
    """An ICMP error from a router about an outer packet."""
    return icmp(router, me, typ, code, rest, outer[:n] if n else outer)


setup()
sh("modprobe -a fou fou6 ip_gre ip6_gre ipip ip6_tunnel")
for v, c, r in ((V4, C4, R4), (V6, C6, R6), (V4, C4, R6), (V6, C6, R4)):
    for name, t in TYPES.items():
        rules(v, r, t)
        title(f"{v} to {r} {name}: errors from within the tunnel")
        out = client(udp(c, 4001, v, 53, data=b"x" * 600), quiet=True)
        outer = [b[14:] for ns, line, b in out if ns == "rs"][0]
        me = "2001:db8:2::1" if ":" in r else "10.0.2.1"
        v6 = ":" in r
        kinds = ((2, 0, 1300), (1, 3, 0), (3, 0, 0)) if v6 else ((3, 4, 600), (3, 4, 20), (3, 1, 0), (11, 0, 0), (4, 0, 0))
        for typ, code, rest in kinds:
            for n in (None, 128, 28 if not v6 else 48):
                print(f"type {typ} code {code} rest {rest} quoting {n}")
                server(error(v6, ROUTER[r], me, typ, code, rest, outer, n))
        show("ip route get " + r)
        print("then a packet of 1000 bytes, DF")
        client(udp(c, 4001, v, 53, data=b"x" * 972))
        stats()
        sh("ip route flush cache; ip -6 route flush cache")
rules(V4, R4, TYPES["ipip"])
title("pmtu_disc 0: 1500 bytes DF, 100 bytes DF")
sysctl(net__ipv4__vs__pmtu_disc=0)
client(udp(C4, 4001, V4, 53, data=b"x" * 1472)); client(udp(C4, 4001, V4, 53, data=b"x" * 72))
rules(V6, R6, TYPES["ipip"])
client(udp(C6, 4001, V6, 53, data=b"x" * 1440))
sysctl(net__ipv4__vs__pmtu_disc=1)
for v, c, r in ((V4, C4, R4), (V6, C6, R6)):
    rules(v, r, TYPES["ipip"])
    title(f"{v}: an error of the client about the server's answer")
    client(tcp(c, 4000, v, 80, "S"), quiet=True)
    answer = tcp(v, 80, c, 4000, "SA", data=b"x" * 200)
    client(icmp(c, v, 1 if ":" in v else 3, 3, 0, answer))
    client(icmp(c, v, 2 if ":" in v else 3, 0 if ":" in v else 4, 1300, answer))
    stats()
    title(f"{v}: a server on the director")
    mine = "10.0.2.1" if v == V4 else "2001:db8:2::1"
    rules(v, mine, TYPES["ipip"])
    client(udp(c, 4001, v, 53)); conns(); stats()
title("server link MTU 1300: IPv6 in IPv6 and in IPv4, IPv4 in IPv6")
sh("ip link set r0 mtu 1300")
for v, c, r in ((V6, C6, R6), (V6, C6, R4), (V4, C4, R6)):
    rules(v, r, TYPES["ipip"])
    for n in (1300, 1281, 1280, 1270, 1260, 1200):
        print(v, r, n)
        client(udp(c, 4001, v, 53, data=b"x" * (n - (48 if ":" in v else 28))), quiet=False)
title("IPv4 options in the inner packet")
sh("ip link set r0 mtu 1500")
rules(V4, R4, TYPES["gue"])
p = udp(C4, 4001, V4, 53)
h = bytearray(p[:20] + bytes.fromhex("01010100"))
h[0] = 0x46
h[2:4] = struct.pack("!H", len(p) + 4)
h[10:12] = b"\0\0"
h[10:12] = struct.pack("!H", csum(bytes(h)))
for ns, line, b in client(bytes(h) + p[20:]):
    print(b.hex())
