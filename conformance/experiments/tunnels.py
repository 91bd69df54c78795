"""Tunneling: the bytes around the client's packet, by type and family; path MTU; ICMP errors about the outer packet."""
from packets import *


def outer(b):
    """The outer headers of a tunneled packet, in hex, and what is inside."""
    p = b[14:]
    v6 = p[0] >> 4 == 6
    hl, proto = (40, p[6]) if v6 else ((p[0] & 15) * 4, p[9])
    frag = 0 if v6 else struct.unpack("!H", p[6:8])[0] & 0x3fff
    print(f"     outer {p[:hl].hex()} len={len(p)}" + (f" ipcsum={'ok' if csum(p[:hl]) == 0 else 'BAD'}" if not v6 else ""))
    if frag:
        print(f"     fragment {frag:#x}")
        return
    rest = p[hl:]
    src, dst = (p[8:24], p[24:40]) if v6 else (p[12:16], p[16:20])
    a = lambda x: socket.inet_ntop(10 if v6 else 2, x)
    if proto == 17:
        n = 8 + 4 + (rest[8] & 31) * 4
        sp, dp, ln, c = struct.unpack("!HHHH", rest[:8])
        ok = "0" if c == 0 else "ok" if csum(pseudo(a(src), a(dst), 17, len(rest)) + rest) == 0 else f"BAD {c:04x}"
        print(f"     udp {sp if sp else 0}>{dp} len={ln} csum={ok} gue {rest[8:n].hex()}")
    elif proto == 47:
        n = 4 + (4 if rest[0] & 0x80 else 0)
        ok = "" if not rest[0] & 0x80 else " csum=ok" if csum(rest) == 0 else " csum=BAD"
        print(f"     gre {rest[:n].hex()}{ok}")
    else:
        n = 0
        print(f"     proto {proto}")
    inner = rest[n:]
    if inner:
        print("     inner", inner[:60].hex(), dissect(inner) if len(inner) >= 20 else "")


def through(p, **k):
    for ns, line, b in client(p, **k):
        if k.get("quiet"):
            print("  ->", ns, line)
        if ns == "rs":
            outer(b)


setup()
B = lambda a: f"[{a}]" if ":" in a else a
TYPES = ("--tun-type ipip", "--tun-type gue --tun-port 6080 --tun-nocsum", "--tun-type gue --tun-port 6080 --tun-csum", "--tun-type gue --tun-port 6080 --tun-remcsum",
         "--tun-type gre --tun-nocsum", "--tun-type gre --tun-csum")
sh("modprobe -a fou fou6 ip_gre ip6_gre ipip ip6_tunnel")
for v, c, r in ((V4, C4, R4), (V6, C6, R6), (V4, C4, R6), (V6, C6, R4)):
    for t in TYPES:
        reset(f"-A -u {B(v)}:53 -s rr", f"-a -u {B(v)}:53 -r {B(r)}:53 -i {t}", f"-A -t {B(v)}:80 -s rr", f"-a -t {B(v)}:80 -r {B(r)}:80 -i {t}")
        title(f"{v} to {r} {t}")
        through(udp(c, 4001, v, 53, data=b"abcdefg"))
        through(udp(c, 4001, v, 53, data=b"abcdefg", df=False, ttl=7, tos=0x2f))
        through(udp(c, 4002, v, 53, data=b"abcdefgh", zero=True, tos=0xb8))
        through(tcp(c, 4003, v, 80, "S"))
        if t in (TYPES[0], TYPES[2]):
            for tos in (1, 2, 3, 0xff):
                through(udp(c, 4001, v, 53, data=b"tos", tos=tos), quiet=True)
            through(udp(c, 4001, v, 53, ttl=1))
            title(f"{v} to {r} {t}: around the MTU of 1500")
            for n in (1500, 1481, 1480, 1473, 1472, 1465, 1460, 1452, 1448, 1440):
                print(n)
                l3 = 40 if ":" in v else 20
                through(udp(c, 4001, v, 53, data=b"x" * (n - l3 - 8)), quiet=True)
                for ns, line, b in client(udp(c, 4001, v, 53, data=b"x" * (n - l3 - 8), df=False), quiet=True):
                    print("  no DF ->", ns, line[:150])
            conns()
        stats()
