"""Fragments: datagrams of clients and servers in pieces, by method and family; order, DF, sizes, duplicates, overlaps, ICMP,
and datagrams for nobody."""
from packets import *
B = lambda a: f"[{a}]" if ":" in a else a
METHODS = {"-m": "-m", "-g": "-g", "ipip": "-i --tun-type ipip", "gre": "-i --tun-type gre --tun-nocsum"}
FH = 44


def pieces(p, cuts, ident=0x4321, df=False):
    """A packet in fragments; each cut is (offset, end) of its payload, or an offset alone for a run of cuts."""
    v6 = p[0] >> 4 == 6
    head, body = (p[:40], p[40:]) if v6 else (p[:20], p[20:])
    if not isinstance(cuts[0], tuple):
        cuts = list(zip([0] + cuts, cuts + [len(body)]))
    out = []
    for a, z in cuts:
        part, more = body[a:z], z < len(body)
        if v6:
            fh = struct.pack("!BBHI", head[6], 0, a | more, ident)
            out.append(head[:4] + struct.pack("!HB", 8 + len(part), FH) + head[7:] + fh + part)
        else:
            h = head[:2] + struct.pack("!HHH", 20 + len(part), ident, (0x4000 if df else 0) | (0x2000 if more else 0) | a // 8) + head[8:10] + b"\0\0" + head[12:]
            out.append(h[:10] + struct.pack("!H", csum(h)) + h[12:] + part)
    return out


def most(v):
    """Cuts of 3008 bytes for an MTU of 1500."""
    return [1448, 2896] if ":" in v else [1480, 2960]


def line(b):
    """Fragments of IPv6, which dissect() does not know."""
    b = b[14:]
    if b[0] >> 4 != 6:
        return None
    chain, at = [], 40
    nh = b[6]
    if nh == 41:
        return "IP6 in IP6 plen=%d: " % struct.unpack("!H", b[4:6]) + (line(b"x" * 14 + b[40:]) or dissect(b[40:]))
    if nh != FH:
        return None
    proto, _, off, ident = struct.unpack("!BBHI", b[40:48])
    return f"IP6 {socket.inet_ntop(10, b[8:24])}>{socket.inet_ntop(10, b[24:40])} hop={b[7]} fragment proto={proto} off={off & 0xfff8}{' M' if off & 1 else ''} id={'same' if ident == 0x4321 else 'other'} {len(b) - 48} bytes"


def go(ns, packets, what, wait=0.25):
    print(f"  {what}: {'client' if ns == 'cl' else 'server'} sends {len(packets)} pieces {[len(p) for p in packets]}", flush=True)
    for p in packets[:-1]:
        send(ns, p, 0.03 if wait else 0, quiet=True) if wait else PORTS[ns].send((DC + CMAC if ns == "cl" else DR + RMAC) + (b"\x86\xdd" if p[0] >> 4 == 6 else b"\x08\x00") + p)
    out = send(ns, packets[-1], max(wait, 0.05), quiet=True)
    for n, l, b in out:
        print(f"  -> {n}: {line(b) or l}", flush=True)
    if not out:
        print("  -> nothing comes out", flush=True)


def main():
    setup()
    for v, c, r in ((V4, C4, R4), (V6, C6, R6), (V4, C4, R6), (V6, C6, R4)):
        for name, m in METHODS.items():
            if (":" in v) != (":" in r) and name in ("-m", "-g"):
                continue
            for x in (f"ip link set r0 mtu 1500", "ip netns exec rs ip link set eth0 mtu 1500"):
                sh(x)
            reset(f"-A -u {B(v)}:53 -s rr", f"-a -u {B(v)}:53 -r {B(r)}:53 {m}", f"-A -t {B(v)}:80 -s rr", f"-a -t {B(v)}:80 -r {B(r)}:80 {m}")
            title(f"{v} to {r} {name}")
            big = udp(c, 4001, v, 53, data=bytes(range(250)) * 12)
            go("cl", pieces(big, most(v)), "UDP 3000, MTU-sized")
            go("cl", pieces(big, [1000, 2000]), "1000s")
            go("cl", pieces(big, [1000, 2000])[::-1], "1000s in reverse")
            go("cl", pieces(udp(c, 4001, v, 53, data=b"x" * 92), [48]), "UDP 100 in 48")
            go("cl", pieces(big, [8, 1000, 2000]), "ports alone in the first")
            if ":" not in v:
                go("cl", pieces(big, [1000, 2000], df=True), "1000s, DF")
                go("cl", pieces(udp(c, 4001, v, 53, data=b"x" * 92), [48], df=True), "UDP 100 in 48, DF")
            go("cl", pieces(big, [(0, 1000), (0, 1000), (1000, 2000), (2000, 3008)]), "first twice")
            go("cl", pieces(big, [(0, 1000), (992, 2000), (2000, 3008)], ident=0x4322), "overlap")
            go("cl", pieces(big, [(0, 1000), (1000, 2000), (2000, 3008)], ident=0x4322), "all again, same id")
            go("cl", pieces(udp(c, 4002, v, 5353, data=b"y" * 2000), [1000]), "UDP to no service")
            go("cl", pieces(tcp(c, 4000, v, 80, "S", data=b"z" * 100), [24, 48]), "SYN in pieces")
            go("cl", pieces(icmp(c, v, 128 if ":" in v else 8, 0, 0x10001, b"e" * 2000), [1000]), "echo request")
            if name == "-m":
                back = udp(r, 53, c, 4001, data=bytes(range(250)) * 12)
                go("rs", pieces(back, most(v)), "answer, MTU-sized")
                go("rs", pieces(back, [1000, 2000]), "answer, 1000s")
                go("rs", pieces(udp(r, 5353, c, 4001, data=b"y" * 2000), [1000]), "from another port of the server")
                go("rs", pieces(udp("10.0.2.12" if ":" not in v else "2001:db8:2::12", 5353, c, 4001, data=b"y" * 2000), [1000]), "from a stranger")
            for mtu in (1300, 1280):
                sh(f"ip link set r0 mtu {mtu}")
                go("cl", pieces(big, most(v)), f"MTU-sized, server link {mtu}")
                go("cl", pieces(big, [1000, 2000]), f"1000s, server link {mtu}")
                if ":" not in v:
                    go("cl", pieces(big, most(v), df=True), f"MTU-sized, DF, server link {mtu}")
            sh("ip link set r0 mtu 1500")
            go("cl", pieces(udp(c, 4001, v, 53, data=b"x" * 92, ttl=1), [48]), "TTL 1")
            conns(); stats()


if __name__ == "__main__":
    main()
