#!/usr/bin/env python3
"""Records what a kernel's IPVS family answers to hand-made generic netlink messages.

Run as root with ip_vs and ip_vs_pe_sip loaded, after setup.sh:  python3 netlink.py > netlink.txt
Lines: "# name", "> request datagram in hex", "< answer datagram in hex" (any number); "~ NUMBER HEX" is a socket option
set in between. Names: "user: ..." is sent without capabilities; "socket: ..." needs options of the netlink socket that a
Unix socket has not, or shows a difference listed in docs/compatibility.md.
What differs from run to run is replaced: the family's id by 0x4950; the port id is always 4242. Of a dump of all
families only IPVS's message and the end are kept. Services that are listed together lie in one bucket of the kernel's
table, whose order is known.
"""
import os, socket, struct, sys, time

PORT, FAKE, NLCTRL = 4242, 0x4950, 0x10
REQUEST, MULTI, ACK, ECHO, DUMP = 1, 2, 4, 8, 0x300

def attr(t, data): return struct.pack("=HH", 4 + len(data), t) + data + b"\0" * (-len(data) % 4)
def u8(t, v): return attr(t, struct.pack("=B", v))
def u16(t, v): return attr(t, struct.pack("=H", v))
def be16(t, v): return attr(t, struct.pack(">H", v))
def u32(t, v): return attr(t, struct.pack("=I", v & 0xffffffff))
def be32(t, v): return attr(t, struct.pack(">I", v))
def text(t, s): return attr(t, s.encode() + b"\0")

def message(typ, flags, cmd, attrs=b"", version=1, seq=7, pid=PORT, length=None):
    body = struct.pack("=BBH", cmd, version, 0) + attrs
    return struct.pack("=IHHII", 16 + len(body) if length is None else length, typ, flags, seq, pid) + body

def connect():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
    s.bind((PORT, 0))
    s.settimeout(0.3)
    return s
sock = connect()

def exchange(data):
    # Stopping a daemon may take the kernel seconds; what is asked properly is always answered.
    asked = [(t, f) for at, l, t, f in headers(data) if at + l <= len(data)]
    sock.settimeout(20 if len(asked) == 1 and asked[0][1] & REQUEST and asked[0][1] & (ACK | DUMP) else 0.3)
    sock.send(data)
    out = []
    while True:
        try:
            out.append(sock.recv(65536))
        except (socket.timeout, TimeoutError):
            return out
        except OSError as e:
            print("? recv", e); return out
        if ended(data, out): return out

def headers(d):
    at = 0
    while at + 16 <= len(d):
        l, t, f, s, p = struct.unpack_from("=IHHII", d, at)
        if l < 16: return
        yield at, l, t, f
        at += (l + 3) & ~3

def ended(request, out):
    """Whether nothing can follow: an error or DONE for single-message requests (which is all that wait for less)."""
    if len(list(headers(request))) != 1: return False
    return any(t in (2, 3) for d in out for _, _, t, _ in headers(d))

family = None
def normal(d):
    d = bytearray(d)
    for at, l, t, f in list(headers(bytes(d))):
        if family is not None and t == family: struct.pack_into("=H", d, at + 4, FAKE)
        if t == 2 and len(d) >= at + 36:
            inner, = struct.unpack_from("=H", d, at + 24)
            if inner == family: struct.pack_into("=H", d, at + 24, FAKE)
        if NLCTRL in (t, struct.unpack_from("=H", d, at + 24)[0] if t == 2 and len(d) >= at + 36 else 0):
            for typ in (1, 0x8001):
                i = bytes(d).find(struct.pack("=HHH", 6, typ, family), at)
                if i >= 0: struct.pack_into("=H", d, i + 4, FAKE)
    return bytes(d)

def show(name, request, select=lambda answers: answers):
    answers = select(exchange(request))
    print("#", name)
    print(">", normal(request).hex())
    for a in answers: print("<", normal(a).hex())
    sys.stdout.flush()
    return answers

def find_family():
    global family
    a = exchange(message(NLCTRL, REQUEST | ACK, 3, text(2, "IPVS")))
    d, at = a[0], 20
    while at + 4 <= len(d):
        l, t = struct.unpack_from("=HH", d, at)
        if t == 1: family = struct.unpack_from("=H", d, at + 4)[0]
        at += (l + 3) & ~3
find_family()

options = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def sockopt(number, data):
    """Sets a socket option of IPVS, which may fail."""
    print("~", number, data.hex())
    try: options.setsockopt(0, number, data)
    except OSError: pass

def do(name, cmd, attrs=b"", flags=ACK, **kw): return show(name, message(family, REQUEST | flags, cmd, attrs, **kw))
def dump(name, cmd, attrs=b"", **kw): return show(name, message(family, REQUEST | DUMP, cmd, attrs, **kw))

A4 = lambda s: socket.inet_aton(s)
A6 = lambda s: socket.inet_pton(socket.AF_INET6, s)
def sid(proto=6, addr=A4("10.0.0.1"), port=80, af=2): return u16(1, af) + u16(2, proto) + attr(3, addr) + be16(4, port)
def mid(mark, af=2): return u16(1, af) + u32(5, mark)
FULL = text(6, "wlc") + attr(7, struct.pack("=II", 0, 0xffffffff)) + u32(8, 0) + be32(9, 0xffffffff)
FULL6 = text(6, "rr") + attr(7, struct.pack("=II", 1, 0xffffffff)) + u32(8, 360) + u32(9, 128)
def svc(body): return attr(1, body)
def did(addr=A4("10.9.0.2"), port=8080): return attr(1, addr) + be16(2, port)
def dfull(fwd=3, weight=1, u=0, l=0): return u32(3, fwd) + u32(4, weight) + u32(5, u) + u32(6, l)
def dst(body): return attr(2, body)
DAEMON = lambda state=1, ifn="lo", sync=0: attr(3, u32(1, state) + text(2, ifn) + u32(3, sync))

# -- family
show("family by name", message(NLCTRL, REQUEST | ACK, 3, text(2, "IPVS")))
show("family by name without ACK", message(NLCTRL, REQUEST, 3, text(2, "IPVS"), version=2))
show("family by id", message(NLCTRL, REQUEST | ACK, 3, u16(1, family)))
show("family unknown", message(NLCTRL, REQUEST | ACK, 3, text(2, "NOSUCH")))
show("family no attribute", message(NLCTRL, REQUEST | ACK, 3))
show("family name without NUL", message(NLCTRL, REQUEST | ACK, 3, attr(2, b"IPVS")))
show("family name too long", message(NLCTRL, REQUEST | ACK, 3, text(2, "IPVS567890123456")))
show("family id short", message(NLCTRL, REQUEST | ACK, 3, attr(1, b"\x01")))
show("family name then bad id", message(NLCTRL, REQUEST | ACK, 3, text(2, "IPVS") + attr(1, b"a")))
show("family of nine bytes", message(NLCTRL, REQUEST | ACK, 3, attr(2, b"IPVS\0junk")))
show("family id unknown", message(NLCTRL, REQUEST | ACK, 3, u16(1, 0x3ff)))
show("family id and name", message(NLCTRL, REQUEST | ACK, 3, u16(1, family) + text(2, "NOSUCH")))
show("nlctrl unknown command", message(NLCTRL, REQUEST | ACK, 77))
show("nlctrl short", struct.pack("=IHHII", 16, NLCTRL, REQUEST | ACK, 7, PORT))
show("unknown family", message(0x3ff, REQUEST | ACK, 1))

# -- framing
do("info", 15)
do("info without ACK", 15, flags=0)
do("info version 0", 15, version=0)
do("info version 9", 15, version=9)
do("info other seq and pid", 15, seq=0xdeadbeef, pid=99)
do("info pid 0", 15, pid=0)
do("info with ECHO", 15, flags=ACK | ECHO)
show("info without REQUEST", message(family, 0, 15))
show("info without REQUEST but ACK", message(family, ACK, 15))
show("noop", message(1, REQUEST | ACK, 0))
show("control type 5 without ACK", message(5, REQUEST, 0))
show("header only", struct.pack("=IHHII", 16, family, REQUEST | ACK, 7, PORT))
show("18 bytes", struct.pack("=IHHIIBB", 18, family, REQUEST | ACK, 7, PORT, 15, 1))
show("18 bytes padded", struct.pack("=IHHIIBBH", 18, family, REQUEST | ACK, 7, PORT, 15, 1, 0))
show("15 bytes", struct.pack("=IHHII", 16, family, REQUEST | ACK, 7, PORT)[:15])
show("length too long", message(family, REQUEST | ACK, 15, length=24))
show("length too short", message(family, REQUEST | ACK, 15, length=12))
show("length 0", message(family, REQUEST | ACK, 15, length=0))
show("bytes after the message", message(family, REQUEST | ACK, 15) + b"\1\2\3\4")
show("two in one datagram", message(family, REQUEST | ACK, 15) + message(family, REQUEST | ACK, 13, seq=8))
show("bad then good in one datagram", message(family, REQUEST | ACK, 77) + message(family, REQUEST | ACK, 13, seq=8))
show("dump and get in one datagram", message(family, REQUEST | DUMP, 4) + message(family, REQUEST | ACK, 13, seq=8))
for c in (0, 14, 18, 77, 128, 255): do(f"command {c}", c)
for c in (1, 2, 3, 5, 6, 7, 9, 10, 12, 13, 14, 15, 16, 17): dump(f"dump of command {c}", c)
do("dump flag ROOT alone on 4", 4, flags=0x100 | ACK)
do("dump flag MATCH alone on 4", 4, flags=0x200 | ACK)
do("dump flag ROOT alone on 15", 15, flags=0x100 | ACK)
do("do of 8", 8, svc(sid()))
do("do of 11", 11)
dump("dump with ACK too", 4)
show("dump with the ACK flag", message(family, REQUEST | DUMP | ACK, 4))
do("timeouts", 13)

# -- attributes at the top
do("timeout short", 12, attr(4, b"\1\0"))
do("timeout long", 12, attr(4, struct.pack("=II", 901, 5)))
do("timeout empty", 12, attr(4, b""))
do("timeouts after long", 13)
do("timeout nested bit", 12, u32(4 | 0x8000, 902))
do("timeout byte order bit", 12, u32(4 | 0x4000, 903))
do("timeout unknown attribute first", 12, u32(77, 1) + u32(4, 904))
do("timeout attribute 0", 12, u32(0, 1) + u32(4, 905))
do("timeout twice", 12, u32(4, 1) + u32(4, 906))
do("timeout length 3", 12, struct.pack("=HH", 3, 4))
do("timeout then length 3", 12, u32(4, 907) + struct.pack("=HH", 3, 5))
do("timeout then too long", 12, u32(4, 908) + struct.pack("=HHI", 40, 5, 1))
do("timeout then junk", 12, u32(4, 909) + b"\1\2")
do("timeouts after nine", 13)
do("timeout none", 12)
do("timeout zero", 12, u32(4, 0) + u32(5, 0) + u32(6, 0))
do("timeout negative", 12, u32(4, -1))
do("timeout huge", 12, u32(6, 0x7fffffff))
do("timeout limit 250", 12, u32(5, 0x7fffffff // 250))
do("timeout limit 250 and one", 12, u32(5, 0x7fffffff // 250 + 1))
do("timeout no ACK", 12, u32(4, 900) + u32(5, 120) + u32(6, 300), flags=0)
do("timeout no ACK fails", 12, u32(4, -1), flags=0)
do("timeouts again", 13)
do("service attribute as u8", 12, u8(1, 1) + u32(4, 900))
do("service attribute empty on timeouts", 12, attr(1, b"") + u32(4, 900))
do("service attribute of 3 bytes on timeouts", 12, attr(1, b"abc") + u32(4, 900))

# -- services
do("get service none", 4)
do("get service empty nest", 4, svc(b""))
do("get service absent", 4, svc(sid()))
do("get service no af", 4, svc(u16(2, 6) + attr(3, A4("10.0.0.1")) + be16(4, 80)))
do("get service af 1", 4, svc(sid(af=1)))
do("get service af 1 and nothing else", 4, svc(u16(1, 1)))
do("get service no port", 4, svc(u16(1, 2) + u16(2, 6) + attr(3, A4("10.0.0.1"))))
do("get service no addr", 4, svc(u16(1, 2) + u16(2, 6) + be16(4, 80)))
do("get service no protocol", 4, svc(u16(1, 2) + attr(3, A4("10.0.0.1")) + be16(4, 80)))
do("get service af short", 4, svc(attr(1, b"\2") + u16(2, 6) + attr(3, A4("10.0.0.1")) + be16(4, 80)))
do("get service address of 17", 4, svc(sid(addr=b"\x0a\0\0\1" + b"\0" * 13)))
do("new service", 1, svc(sid() + FULL))
do("new service again", 1, svc(sid() + FULL))
do("new service no ACK again", 1, svc(sid() + FULL), flags=0)
do("get service", 4, svc(sid()))
do("get service no ACK", 4, svc(sid()), flags=0)
do("get service nested bit", 4, attr(1 | 0x8000, sid()))
do("get service address padded", 4, svc(sid(addr=A4("10.0.0.1") + b"\0" * 12)))
do("get service address padded with junk", 4, svc(sid(addr=A4("10.0.0.1") + b"\xff" * 12)))
do("get service address of 3", 4, svc(sid(addr=b"\x0a\0\0")))
do("get service address empty", 4, svc(sid(addr=b"")))
do("get service protocol u32", 4, svc(u16(1, 2) + attr(2, struct.pack("=HH", 6, 1)) + attr(3, A4("10.0.0.1")) + be16(4, 80)))
do("get service protocol 262", 4, svc(sid(proto=262)))
do("get service af of 4 bytes", 4, svc(attr(1, struct.pack("=HH", 2, 9)) + u16(2, 6) + attr(3, A4("10.0.0.1")) + be16(4, 80)))
do("get service junk in nest", 4, svc(sid() + b"\1\2"))
do("get service attribute too long in nest", 4, svc(sid() + struct.pack("=HHI", 40, 6, 1)))
do("get service unknown attribute in nest", 4, svc(u32(40, 1) + sid()))
do("get service with bad name", 4, svc(sid() + attr(6, b"wlc")))
do("get service stats given as u32", 4, svc(sid() + u32(10, 1)))
do("get service stats given short", 4, svc(sid() + attr(10, b"a")))
do("get service stats given empty", 4, svc(sid() + attr(10, b"")))
do("get service stats64 given short", 4, svc(sid() + attr(12, b"ab")))
do("get service flags short", 4, svc(sid() + attr(7, b"\1\0\0\0")))
do("get service flags long", 4, svc(sid() + attr(7, b"\1" * 9)))
dump("dump of one service", 4)
dump("dump of one service with empty SERVICE", 4, attr(1, b""))
dump("dump of one service with bad SERVICE", 4, attr(1, b"a"))
dump("dump of services with bad timeout", 4, attr(4, b"a"))
base = sid(port=81)
do("new without scheduler", 1, svc(base + attr(7, struct.pack("=II", 0, 0xffffffff)) + u32(8, 0) + be32(9, 0xffffffff)))
do("new without flags", 1, svc(base + text(6, "wlc") + u32(8, 0) + be32(9, 0xffffffff)))
do("new without timeout", 1, svc(base + text(6, "wlc") + attr(7, struct.pack("=II", 0, 0xffffffff)) + be32(9, 0xffffffff)))
do("new without netmask", 1, svc(base + text(6, "wlc") + attr(7, struct.pack("=II", 0, 0xffffffff)) + u32(8, 0)))
do("new with empty scheduler", 1, svc(base + text(6, "") + FULL[8:]))
do("new with scheduler without NUL", 1, svc(base + attr(6, b"wlcx") + FULL[8:]))
do("new with scheduler of zero bytes", 1, svc(base + attr(6, b"") + FULL[8:]))
do("new with scheduler of 15", 1, svc(base + text(6, "a" * 15) + FULL[8:]))
do("new with scheduler of 16", 1, svc(base + text(6, "a" * 16) + FULL[8:]))
do("new with scheduler, bytes after NUL", 1, svc(base + attr(6, b"rr\0xx") + FULL[8:]))
do("get that", 4, svc(base))
do("new with unknown scheduler", 1, svc(sid(port=82) + text(6, "nosuch") + FULL[8:]))
do("new with unknown pe", 1, svc(sid(port=82) + FULL + text(11, "nosuch")))
do("new with pe of 16", 1, svc(sid(port=82) + FULL + text(11, "a" * 16)))
do("new with pe of 17", 1, svc(sid(port=82) + FULL + text(11, "a" * 17)))
do("new with empty pe", 1, svc(sid(port=82) + FULL + text(11, "")))
do("new with flags short", 1, svc(sid(port=83) + text(6, "rr") + attr(7, b"\1\0\0\0\1\0") + FULL[8+12:]))
do("get that too", 4, svc(sid(port=83)))
do("new with flags long", 1, svc(sid(port=84) + text(6, "rr") + attr(7, b"\1" * 12) + FULL[8+12:]))
do("new with none", 1, svc(sid(port=85) + text(6, "none") + FULL[8:]))
do("get none", 4, svc(sid(port=85)))
do("new with protocol 99", 1, svc(sid(proto=99, port=86) + FULL))
do("get protocol 99", 4, svc(sid(proto=99, port=86)))
do("new with every flag, mask part", 1, svc(sid(port=87) + text(6, "wrr") + attr(7, struct.pack("=II", 0xffffffff, 0x0000ff05)) + u32(8, 300) + be32(9, 0xffffff00)))
do("get every flag", 4, svc(sid(port=87)))
do("edit with mask 0", 2, svc(sid(port=87) + text(6, "sed") + attr(7, struct.pack("=II", 0, 0)) + u32(8, 30) + be32(9, 0xffff0000)))
do("get edited", 4, svc(sid(port=87)))
do("edit with mask 4", 2, svc(sid(port=87) + text(6, "sed") + attr(7, struct.pack("=II", 0, 4)) + u32(8, 30) + be32(9, 0xffff0000)))
do("get edited 2", 4, svc(sid(port=87)))
do("edit absent", 2, svc(sid(port=99) + FULL))
do("edit absent incomplete", 2, svc(sid(port=99)))
do("edit incomplete", 2, svc(sid()))
do("new mark 0", 1, svc(mid(0) + FULL))
do("new mark 7", 1, svc(mid(7) + FULL))
do("get mark 7", 4, svc(mid(7)))
do("get mark 7 with address", 4, svc(sid() + u32(5, 7)))
do("new mark 7 of IPv6", 1, svc(mid(7, 10) + FULL6))
do("get mark 7 of IPv6", 4, svc(mid(7, 10)))
do("new IPv6", 1, svc(sid(addr=A6("2001:db8::1"), af=10, proto=17, port=53) + FULL6))
do("get IPv6", 4, svc(sid(addr=A6("2001:db8::1"), af=10, proto=17, port=53)))
do("get IPv6 short address", 4, svc(sid(addr=A6("2001:db8::1")[:8], af=10, proto=17, port=53)))
do("new IPv6 netmask 0", 1, svc(sid(addr=A6("2001:db8::2"), af=10) + FULL6[:-8] + u32(9, 0)))
do("new IPv6 netmask 129", 1, svc(sid(addr=A6("2001:db8::2"), af=10) + FULL6[:-8] + u32(9, 129)))
do("new IPv6 unknown scheduler and netmask 0", 1, svc(sid(addr=A6("2001:db8::2"), af=10) + text(6, "nosuch") + FULL6[8:-8] + u32(9, 0)))

# -- destinations
S = svc(sid())
X = svc(sid(port=99))
do("new dest without SERVICE", 5, dst(did() + dfull()))
do("new dest without DEST", 5, S)
do("new dest without DEST, service absent", 5, X)
do("new dest empty DEST", 5, S + dst(b""))
do("new dest without port", 5, S + dst(attr(1, A4("10.9.0.2")) + dfull()))
do("new dest without address", 5, S + dst(be16(2, 80) + dfull()))
do("new dest incomplete", 5, S + dst(did()))
for i, n in enumerate(("forwarding", "weight", "upper", "lower")):
    parts = [u32(3, 3), u32(4, 1), u32(5, 0), u32(6, 0)]; del parts[i]
    do("new dest without " + n, 5, S + dst(did() + b"".join(parts)))
do("new dest", 5, S + dst(did() + dfull()))
do("new dest again", 5, S + dst(did() + dfull()))
do("new dest forwarding 0xfffffff8", 5, S + dst(did(port=1) + dfull(fwd=0xfffffff8)))
do("new dest forwarding 5", 5, S + dst(did(port=2) + dfull(fwd=5)))
do("new dest negative weight", 5, S + dst(did(port=3) + dfull(weight=-1)))
do("new dest lower over upper", 5, S + dst(did(port=3) + dfull(u=1, l=2)))
do("new dest upper huge", 5, S + dst(did(port=3) + dfull(u=0x80000000)))
do("new dest family 0", 5, S + dst(did(port=4) + dfull() + u16(11, 0)))
do("new dest family 1", 5, S + dst(did(port=5) + dfull() + u16(11, 1)))
do("new dest family 1 incomplete", 5, S + dst(did(port=5) + u16(11, 1)))
do("new dest family 10 masquerading", 5, S + dst(did(addr=A6("2001:db8::9"), port=5) + dfull(fwd=0) + u16(11, 10)))
do("new dest family 10 negative weight", 5, S + dst(did(addr=A6("2001:db8::9"), port=5) + dfull(fwd=0, weight=-1) + u16(11, 10)))
do("new dest family 10 service absent", 5, X + dst(did(addr=A6("2001:db8::9"), port=5) + dfull(fwd=0) + u16(11, 10)))
do("new dest family 10 tunnel", 5, S + dst(did(addr=A6("2001:db8::9"), port=5) + dfull(fwd=2) + u16(11, 10)))
do("new dest gue without port", 5, S + dst(did(port=6) + dfull(fwd=2) + u8(13, 1)))
do("new dest gue", 5, S + dst(did(port=6) + dfull(fwd=2, weight=0x7fffffff, u=10, l=5) + u8(13, 1) + be16(14, 5555) + u16(15, 1)))
do("new dest tunnel type 77", 5, S + dst(did(port=7) + dfull(fwd=2) + u8(13, 77) + be16(14, 5555) + u16(15, 0xffff)))
do("new dest tunnel port on masquerading", 5, S + dst(did(port=8) + dfull(fwd=0) + u8(13, 2) + be16(14, 9) + u16(15, 2)))
do("new dest multicast", 5, S + dst(did(addr=A4("224.0.0.1")) + dfull()))
do("new dest address padded with junk", 5, S + dst(did(addr=A4("10.9.0.9") + b"\xff" * 12) + dfull()))
dump("dump dests", 8, S)
do("edit dest", 6, S + dst(did() + dfull(fwd=0, weight=7, u=9, l=3)))
do("edit dest absent", 6, S + dst(did(port=999) + dfull()))
do("edit dest incomplete", 6, S + dst(did()))
do("edit dest absent service incomplete dest", 6, X + dst(b""))
do("delete dest full", 7, S + dst(did(port=1) + dfull()))
do("delete dest", 7, S + dst(did(port=2)))
do("delete dest absent", 7, S + dst(did(port=2)))
do("delete dest other family", 7, S + dst(did(port=2) + u16(11, 10)))
do("delete dest family 1", 7, S + dst(did(port=2) + u16(11, 1)))
do("delete dest without DEST", 7, S)
dump("dump dests after", 8, S)
dump("dump dests without SERVICE", 8)
dump("dump dests empty SERVICE", 8, svc(b""))
dump("dump dests of absent", 8, X)
dump("dump dests bad af", 8, svc(sid(af=1)))
dump("dump dests bad SERVICE", 8, attr(1, b"a"))
dump("dump dests of service without", 8, svc(sid(port=85)))
do("zero service", 16, S)
do("zero absent", 16, X)
do("zero bad", 16, svc(b""))
do("zero malformed", 16, attr(1, b"a"))
do("zero all", 16)
do("delete service", 3, svc(sid(port=85)))
do("delete service absent", 3, svc(sid(port=85)))
do("delete service none", 3)

do("info with bad timeout", 15, attr(4, b"a"))
do("info with bad DEST", 15, attr(2, b"abc"))
do("info with bad DAEMON", 15, attr(3, b"abc"))

# -- daemons
dump("dump daemons", 11)
do("start daemon none", 9)
do("start daemon empty", 9, attr(3, b""))
do("start daemon without name", 9, attr(3, u32(1, 1) + u32(3, 0)))
do("start daemon name without NUL", 9, attr(3, u32(1, 1) + attr(2, b"lo") + u32(3, 0)))
do("start daemon of 16", 9, DAEMON(ifn="a" * 16))
do("start daemon group not multicast", 9, attr(3, u32(1, 1) + text(2, "lo") + u32(3, 0) + be32(5, 0x0a000001)))
do("start daemon unknown interface", 9, DAEMON(ifn="nosuch0"))
do("start daemon state 0", 9, DAEMON(state=0))
do("stop daemon none", 10)
do("stop daemon without state", 10, attr(3, b""))
do("stop daemon state 3", 10, attr(3, u32(1, 3)))
do("stop daemon not running", 10, attr(3, u32(1, 1)))
do("set daemon with SERVICE only", 9, S)

# -- families, once more
def only_ipvs(answers):
    """The messages of a dump of families that describe IPVS or end it, each as a datagram."""
    return [d[at:at + l] for d in answers for at, l, typ, _ in headers(d) if typ == 3 or b"IPVS\0" in d[at:at + l]]
show("dump of families", message(NLCTRL, REQUEST | DUMP, 3), select=only_ipvs)
show("dump of families with a name", message(NLCTRL, REQUEST | DUMP, 3, text(2, "NOSUCH")), select=only_ipvs)
show("family by empty name", message(NLCTRL, REQUEST | ACK, 3, text(2, "")))
show("family in lower case", message(NLCTRL, REQUEST | ACK, 3, text(2, "ipvs")))
show("family name with junk attributes", message(NLCTRL, REQUEST | ACK, 3, u32(77, 1) + text(2, "IPVS") + b"\1\2\3"))
show("family id with the nested bit", message(NLCTRL, REQUEST | ACK, 3, u16(1 | 0x8000, family)))
show("family of id 0", message(NLCTRL, REQUEST | ACK, 3, u16(1, 0)))
show("family command 0", message(NLCTRL, REQUEST | ACK, 0))
show("family NEWFAMILY", message(NLCTRL, REQUEST | ACK, 1, text(2, "IPVS")))
for n in (4, 5, 6, 15, 16, 17, 40): show(f"family name with NULs to {n} bytes", message(NLCTRL, REQUEST | ACK, 3, attr(2, b"IPVS".ljust(n, b"\0"))))
show("family name of 17 bytes, the last no NUL", message(NLCTRL, REQUEST | ACK, 3, attr(2, b"IPVS\0".ljust(16, b"\0") + b"x")))
show("family name of 16 bytes, the last no NUL", message(NLCTRL, REQUEST | ACK, 3, attr(2, b"IPVS\0".ljust(15, b"\0") + b"x")))
show("family without REQUEST", message(NLCTRL, ACK, 3, text(2, "IPVS")))

# -- every attribute of every nest, cut short and long
do("flush for the cuts", 17)
do("service for the cuts", 1, svc(sid() + FULL))
WHOLE = {1: struct.pack("=H", 2), 2: struct.pack("=H", 6), 3: A4("10.0.0.1"), 4: struct.pack(">H", 80), 5: struct.pack("=I", 9),
         6: b"rr\0", 7: struct.pack("=II", 0, 0), 8: struct.pack("=I", 9), 9: struct.pack("=I", 9), 10: b"", 11: b"\0", 12: b""}
for t, value in WHOLE.items():
    rest = b"".join(attr(k, v) for k, v in WHOLE.items() if k not in (t, 5))
    for n in sorted({0, 1, max(len(value) - 1, 0), len(value) + 1, len(value) + 16}):
        do(f"edit with attribute {t} of {n} bytes", 2, svc(rest + attr(t, (value + b"\0" * 17)[:n])))
dump("service after the cuts", 4)
DWHOLE = {1: A4("10.9.0.2"), 2: struct.pack(">H", 80), 3: struct.pack("=I", 2), 4: struct.pack("=I", 1), 5: struct.pack("=I", 0), 6: struct.pack("=I", 0),
          7: struct.pack("=I", 5), 8: struct.pack("=I", 6), 9: struct.pack("=I", 7), 10: b"", 11: struct.pack("=H", 2), 12: b"", 13: b"\2", 14: struct.pack(">H", 9), 15: struct.pack("=H", 1)}
do("dest for the cuts", 5, S + dst(did(port=80) + dfull(fwd=2)))
for t, value in DWHOLE.items():
    rest = b"".join(attr(k, v) for k, v in DWHOLE.items() if k != t)
    for n in sorted({0, 1, max(len(value) - 1, 0), len(value) + 1, len(value) + 16}):
        do(f"edit dest with attribute {t} of {n} bytes", 6, S + dst(rest + attr(t, (value + b"\0" * 17)[:n])))
dump("dests after the cuts", 8, S)
do("dest with attributes 16 and 300", 6, S + dst(did(port=80) + dfull(fwd=2) + u32(16, 1) + u32(300, 1)))
do("service nest within a service nest", 4, svc(svc(sid())))
do("two SERVICE nests, the last counts", 4, svc(sid(port=99)) + svc(sid()))
do("two DEST nests, the last counts", 7, S + dst(did(port=99)) + dst(did(port=80)))
do("top-level attribute 7", 15, u32(7, 1))
do("top-level attribute 0x3fff", 15, u32(0x3fff, 1))

# -- sync daemons that run
def begin():
    """Lets a daemon's thread begin: one that has not yet is stopped with EINTR."""
    time.sleep(0.3)
def conf(state=None, ifn=None, sync=None, maxlen=None, group=None, group6=None, port=None, ttl=None):
    parts = []
    if state is not None: parts.append(u32(1, state))
    if ifn is not None: parts.append(text(2, ifn))
    if sync is not None: parts.append(u32(3, sync))
    if maxlen is not None: parts.append(u16(4, maxlen))
    if group is not None: parts.append(attr(5, A4(group)))
    if group6 is not None: parts.append(attr(6, A6(group6)))
    if port is not None: parts.append(u16(7, port))
    if ttl is not None: parts.append(u8(8, ttl))
    return attr(3, b"".join(parts))
def daemon(name, **kw):
    do("start daemon, " + name, 9, conf(**{"state": 1, "ifn": "ve0", "sync": 7, **kw}))
    begin()
    dump("daemons, " + name, 11)
    do("stop daemon, " + name, 10, conf(state=kw.get("state", 1)))
daemon("defaults")
daemon("backup", state=2)
daemon("backup, large MTU", state=2, ifn="big")
daemon("master, large MTU", ifn="big")
daemon("name of 15", ifn="a" * 15)
daemon("empty name", ifn="")
for sync in (0, 255, 256, 0xffffffff): daemon(f"id {sync}", sync=sync)
for maxlen in (0, 1, 100, 1023, 1472, 1473, 9000, 65507, 65508, 65535):
    daemon(f"maxlen {maxlen}", maxlen=maxlen)
    daemon(f"backup maxlen {maxlen}", maxlen=maxlen, state=2, ifn="big")
for group in ("224.0.0.81", "239.255.255.255", "223.255.255.255", "240.0.0.0", "0.0.0.0"): daemon("group " + group, group=group)
for group in ("ff02::81", "ff05::1", "fe80::1", "::", "2001:db8::1"): daemon("group " + group, group6=group)
daemon("IPv6 group and maxlen", group6="ff02::81", maxlen=65535)
daemon("IPv6 group, backup", group6="ff02::81", state=2)
daemon("both groups", group="224.0.0.82", group6="ff02::81")
daemon("both groups, the IPv4 one bad", group="10.0.0.1", group6="ff02::81")
daemon("both groups, the IPv6 one bad", group="224.0.0.82", group6="fe80::1")
for port in (0, 1, 8848, 65535): daemon(f"port {port}", port=port)
for ttl in (0, 1, 255): daemon(f"ttl {ttl}", ttl=ttl)
daemon("state 0", state=0)
daemon("state 3", state=3)
daemon("state 3, unknown interface", state=3, ifn="nosuch")
for t, value in {1: struct.pack("=I", 1), 2: b"ve0\0", 3: struct.pack("=I", 1), 4: struct.pack("=H", 100), 5: A4("224.0.0.9"), 6: A6("ff02::9"), 7: struct.pack("=H", 9), 8: b"\5"}.items():
    whole = u32(1, 1) + text(2, "ve0") + u32(3, 1)
    for n in sorted({0, max(len(value) - 1, 0), len(value) + 1}):
        do(f"start daemon with attribute {t} of {n} bytes", 9, attr(3, whole + attr(t, (value + b"\0" * 2)[:n])))
        begin()
        do(f"stop after attribute {t} of {n} bytes", 10, conf(state=1))
do("start master", 9, conf(1, "ve0", 1))
do("start master again", 9, conf(1, "big", 2))
do("start master again, unknown interface", 9, conf(1, "nosuch", 2))
do("start backup", 9, conf(2, "big", 3))
dump("both daemons", 11)
do("get daemon as a single request", 11)
begin()
do("stop with name and id", 10, conf(1, "other", 9))
dump("the backup alone", 11)

# -- destinations of the other family, and sync daemons
six = u16(11, 10)
nine = did(addr=A6("2001:db8::9"), port=80)
do("mixed dest while a daemon runs", 5, S + dst(nine + dfull(fwd=2) + six))
do("mixed edit while a daemon runs", 6, S + dst(nine + dfull(fwd=2) + six))
do("mixed delete while a daemon runs", 7, S + dst(nine + six))
do("stop backup", 10, conf(2))
do("mixed dest", 5, S + dst(nine + dfull(fwd=2) + six))
for fwd in (0, 1, 3, 4): do(f"mixed edit to method {fwd}", 6, S + dst(nine + dfull(fwd=fwd) + six))
do("start master while a mixed dest is there", 9, conf(1, "ve0", 1))
do("start backup while a mixed dest is there", 9, conf(2, "ve0", 1))
do("start unknown interface while a mixed dest is there", 9, conf(1, "nosuch", 1))
do("start state 3 while a mixed dest is there", 9, conf(3, "ve0", 1))
sockopt(1163, struct.pack("=I16si", 1, b"ve0", 1))
dump("daemons after a socket option's start with a mixed dest", 11)
begin()
do("stop master", 10, conf(1))
do("mixed delete", 7, S + dst(nine + six))
do("start master after the mixed dest", 9, conf(1, "ve0", 1))
begin()
do("stop master after that", 10, conf(1))
do("mixed dest in a mark service", 1, svc(mid(8, 10) + FULL6))
do("mixed dest to that", 5, svc(mid(8, 10)) + dst(did() + dfull(fwd=2) + u16(11, 2)))
do("start master with that", 9, conf(1, "ve0", 1))
begin()
do("delete that service", 3, svc(mid(8, 10)))
do("start master while the mixed dest is in the trash", 9, conf(1, "ve0", 1))
begin()
do("stop master at last", 10, conf(1))
do("flush with mixed dests", 17)

# -- what socket options made
def user(addr="10.0.0.1", port=80, proto=6, mark=0, sched=b"rr"):
    return struct.pack("=HH4s", proto, 0, A4(addr)) + struct.pack(">HH", port, 0) + struct.pack("=I16sII", mark, sched, 0, 0) + b"\xff" * 4
sockopt(1154, user("10.0.0.7", 70, 17, 6))
do("mark of UDP", 4, svc(mid(6)))
do("edit mark of UDP", 2, svc(mid(6) + FULL))
do("add mark of UDP", 1, svc(mid(6) + FULL))
do("zero mark of UDP", 16, svc(mid(6)))
do("dest of mark of UDP", 5, svc(mid(6)) + dst(did() + dfull()))
sockopt(1159, user("10.0.0.7", 70, 17, 6) + A4("10.9.0.3") + struct.pack(">HH", 80, 0) + struct.pack("=IiII", 0xffffffff, 1, 0, 0))
sockopt(1159, user("10.0.0.7", 70, 17, 6) + A4("10.9.0.4") + struct.pack(">HH", 80, 0) + struct.pack("=IiII", 0x12003, 1, 0, 0))
dump("dests with flags of socket options", 8, svc(mid(6)))
do("delete mark of UDP", 3, svc(mid(6)))
sockopt(1154, user("0.0.0.0", 0, 6, 0))
do("mark 0 is the service of address 0 and port 0", 4, svc(mid(0)))
do("flush what socket options made", 17)

# -- datagrams of several messages
def m(cmd, attrs=b"", flags=ACK, seq=7): return message(family, REQUEST | flags, cmd, attrs, seq=seq)
show("add, add again, get, delete in one datagram", m(1, svc(sid() + FULL), seq=1) + m(1, svc(sid() + FULL), seq=2) + m(4, svc(sid()), seq=3) + m(3, svc(sid()), seq=4))
show("without ACK but errors", m(1, svc(sid() + FULL), 0, 1) + m(1, svc(sid() + FULL), 0, 2) + m(3, svc(sid()), 0, 3) + m(3, svc(sid()), 0, 4))
show("a good one and half of another", m(13, seq=1) + m(15, seq=2)[:18])
show("a good one and a length of 15", m(13, seq=1) + struct.pack("=IHHII", 15, family, REQUEST | ACK, 2, PORT) + m(15, seq=3))
show("an unaligned length, then another", message(family, REQUEST | ACK, 12, attr(4, struct.pack("=I", 900)) + b"\0", length=29)[:29] + b"\0\0\0" + m(15, seq=2))
show("other families in between", m(13, seq=1) + message(0x3ff, REQUEST | ACK, 1, seq=2) + message(NLCTRL, REQUEST, 3, text(2, "IPVS"), seq=3) + m(15, seq=4))
show("control messages in between", m(13, seq=1) + message(1, REQUEST | ACK, 0, seq=2) + message(3, REQUEST | ACK, 0, seq=3) + m(15, seq=4))
show("fifty in one datagram", b"".join(m(15, seq=i) for i in range(50)))
show("socket: two dumps in one datagram", m(4, flags=DUMP, seq=1) + m(11, flags=DUMP, seq=2))
for flags in (0x10, 0x20, 0x100, 0x200, 0x400, 0x800, 0xfcff): do(f"info with flags {flags:#x}", 15, flags=flags | ACK)
for cmd in range(1, 18): show(f"command {cmd} without a generic header", struct.pack("=IHHII", 16, family, REQUEST | ACK, 7, PORT))
for cmd in (1, 2, 3, 4, 5, 6, 7, 9, 10, 16):
    do(f"command {cmd} with 4000 bytes of ones", cmd, b"\xff" * 4000)
    do(f"command {cmd} with an attribute of 60000 bytes", cmd, attr(1, b"\0" * 60000))
dump("nothing is left", 4)

# -- options of the netlink socket
SOL_NETLINK, EXT_ACK, CAP_ACK = 270, 11, 10
sock.setsockopt(SOL_NETLINK, CAP_ACK, 1)
do("socket: CAP_ACK, error", 3, svc(sid()))
do("socket: CAP_ACK, acknowledged", 17)
show("socket: CAP_ACK, unknown family", message(0x3ff, REQUEST | ACK, 1))
sock.setsockopt(SOL_NETLINK, EXT_ACK, 1)
do("socket: CAP_ACK and EXT_ACK, error", 3, svc(sid()))
do("socket: CAP_ACK and EXT_ACK, short attribute", 12, attr(4, b"a"))
sock.setsockopt(SOL_NETLINK, CAP_ACK, 0)
do("socket: EXT_ACK, error", 3, svc(sid()))
do("socket: EXT_ACK, short attribute", 12, attr(4, b"a"))
do("socket: EXT_ACK, short attribute in a nest", 4, svc(attr(1, b"a")))
do("socket: EXT_ACK, unknown command", 77)
do("socket: EXT_ACK, acknowledged", 17)
sock.close(); sock = connect()

# -- unprivileged
do("flush with junk attribute", 17, u32(99, 1) + b"\1\2")
dump("dump after flush", 4)
do("new service for the unprivileged", 1, svc(sid() + FULL))
sock.close()
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    os.setgid(65534); os.setuid(65534)
    sock = connect()
    show("user: family", message(NLCTRL, REQUEST | ACK, 3, text(2, "IPVS")))
    do("user: info", 15)
    do("user: timeouts", 13)
    do("user: get service", 4, svc(sid()))
    do("user: unknown command", 77)
    do("user: do of 8", 8)
    do("user: dump of 15", 15, flags=DUMP)
    do("user: bad attribute", 12, attr(4, b"a"))
    dump("user: dump", 4)
    os._exit(0)
os.waitpid(pid, 0)
sock = connect()
do("flush", 17)

# -- a persistence engine
do("flush before engines", 17)
do("new with engine", 1, svc(sid() + FULL + text(11, "sip")))
do("get with engine", 4, svc(sid()))
do("new with none and engine", 1, svc(sid(addr=A4("10.0.0.22"), proto=17) + text(6, "none") + FULL[8:] + text(11, "sip")))
do("get with none and engine", 4, svc(sid(addr=A4("10.0.0.22"), proto=17)))
do("new mark with engine", 1, svc(mid(9, 10) + FULL6 + text(11, "sip")))
dump("dump with engines", 4)
do("flush engines", 17)
