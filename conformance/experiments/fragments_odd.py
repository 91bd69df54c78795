"""Fragments, the odd ones: pieces within others, pieces of odd lengths, TCP and SCTP in pieces, marks of congestion, IPv4 options,
IPv6 extension headers before and behind the fragment header, an empty last piece."""
from packets import *
from fragments import pieces, go, B, FH


def tos(p, value):
    p = bytearray(p)
    if p[0] >> 4 == 6:
        p[0:2] = struct.pack("!H", 6 << 12 | value << 4)
        return bytes(p)
    p[1] = value
    p[10:12] = b"\0\0"
    p[10:12] = struct.pack("!H", csum(bytes(p[:20])))
    return bytes(p)


def shortened(p, n):
    """Without its last n bytes, by its own lengths."""
    p = bytearray(p[:len(p) - n])
    if p[0] >> 4 == 6:
        p[4:6] = struct.pack("!H", len(p) - 40)
    else:
        p[2:4] = struct.pack("!H", len(p))
        p[10:12] = b"\0\0"
        p[10:12] = struct.pack("!H", csum(bytes(p[:20])))
    return bytes(p)


setup()
ident = 0x6000
for v, c, r in ((V4, C4, R4), (V6, C6, R6)):
    reset(f"-A -u {B(v)}:53 -s rr", f"-a -u {B(v)}:53 -r {B(r)}:53 -m", f"-A -t {B(v)}:80 -s rr", f"-a -t {B(v)}:80 -r {B(r)}:80 -m")
    title(v)
    big = udp(c, 4001, v, 53, data=bytes(range(250)) * 12)

    def cut(what, p, cuts, change=lambda n, x: x):
        global ident
        ident += 1
        go("cl", [change(n, x) for n, x in enumerate(pieces(p, cuts, ident))], what)
    cut("a piece within one that came", big, [(0, 1000), (200, 400), (1000, 2000), (2000, 3008)])
    cut("a piece within two that came", big, [(0, 1000), (1000, 2000), (800, 1200), (2000, 3008)])
    cut("a piece around one that came", big, [(200, 400), (0, 1000), (1000, 2000), (2000, 3008)])
    cut("a piece that fills a gap and more", big, [(0, 1000), (2000, 3008), (1000, 2008)])
    cut("beyond the end", big, [(2000, 3008), (3008, 3016), (0, 1000), (1000, 2000)])
    cut("middle piece of odd length", big, [(0, 1000), (1000, 2000), (2000, 3008)], lambda n, x: shortened(x, 3) if n == 1 else x)
    cut("last piece empty", big, [(0, 1000), (1000, 2000), (2000, 3008), (3008, 3008)], lambda n, x: x)
    cut("TCP 1000s", tcp(c, 4000, v, 80, "S", data=b"x" * 2500), [1000, 2000])
    cut("TCP 1000, 1400", tcp(c, 4000, v, 80, "A", data=b"x" * 2380), [1000])
    cut("TCP header alone", tcp(c, 4000, v, 80, "A", data=b"x" * 2380), [24, 1000, 2000])
    cut("TCP half a header", tcp(c, 4000, v, 80, "A", data=b"x" * 2380), [8, 1000, 2000])
    for marks in ((0, 3, 0), (2, 2, 3), (1, 2, 2), (2, 0, 2), (2, 2, 2), (0x28, 0x48, 0)):
        cut(f"tos {marks}", big, [1000, 2000], lambda n, x: tos(x, marks[n]))
    cut("TTL 64, 9, 1", big, [1000, 2000], lambda n, x: x[:7] + bytes([[64, 9, 1][n]]) + x[8:] if v == V6 else x)
    if v == V6:
        hbh = bytes.fromhex("1100010400000000")
        p = big[:4] + struct.pack("!HB", len(big) - 32, 0) + big[7:40] + hbh + big[40:]

        def around(header, kind):
            def change(n, x):
                return x[:4] + struct.pack("!HB", len(x) - 32, kind) + x[7:40] + bytes([FH]) + header[1:] + x[40:]
            return change
        cut("hop-by-hop before the fragment header", big, [1000, 2000], around(hbh, 0))
        cut("destination options before the fragment header", big, [1000, 2000], around(hbh, 60))
        body = bytes([17]) + hbh[1:] + big[40:]
        q = big[:4] + struct.pack("!HB", len(body), 60) + big[7:40] + body
        cut("destination options behind the fragment header", q, [1000, 2000])
        cut("atomic fragment", big[:4] + struct.pack("!H", 108) + big[6:40] + udp(c, 4001, v, 53, data=b"x" * 100)[40:], [(0, 108)])
    else:
        def options(n, x):
            o = bytes.fromhex("94040000") + bytes.fromhex("01010100")
            h = bytearray(x[:20] + o)
            h[0] = 0x47
            h[2:4] = struct.pack("!H", len(x) + 8)
            h[10:12] = b"\0\0"
            h[10:12] = struct.pack("!H", csum(bytes(h)))
            return bytes(h) + x[20:]
        cut("router alert", big, [1000, 2000], options)
    conns(); stats()
