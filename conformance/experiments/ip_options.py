"""IPv4 options of forwarded packets; errors with a damaged quote; errors from the servers' side about direct routing."""
from packets import *
setup(); sh("ip addr add 10.0.2.2/24 dev r0; modprobe sctp", check=False)
v, c, r = V4, C4, R4
def with_options(p, o):
    o += b"\0" * (-len(o) % 4); h = bytearray(p[:20] + o); h[0] = 0x40 | len(h) // 4; h[2:4] = struct.pack("!H", len(p) + len(o)); h[10:12] = b"\0\0"; h[10:12] = struct.pack("!H", csum(bytes(h)))
    return bytes(h) + p[20:]
def seen(ns, p):
    print(f"  {ns} sends {p[20:(p[0] & 15) * 4].hex()} {dissect(p)[:70]}", flush=True); PORTS[ns].send((DC + CMAC if ns == "cl" else DR + RMAC) + b"\x08\0" + p)
    out = collect(.3, True)
    for n, l, b in out: print(f"  -> {n} {b[34:14 + (b[14] & 15) * 4].hex()} {l[:150]}")
    if not out: print("  -> nothing comes out")
A = socket.inet_aton
RR = lambda n, ptr=4: bytes([7, 3 + 4 * n, ptr]) + bytes(4 * n)
TS = lambda n, flag, ptr=5, over=0: bytes([68, 4 + n * (4 if flag == 0 else 8), ptr, over << 4 | flag]) + bytes(n * (4 if flag == 0 else 8))
def tsp(*a): return bytes([68, 4 + 8 * len(a), 5, 3]) + b"".join(A(x) + bytes(4) for x in a)
OPTIONS = (("nop", b"\1\1\1\1"), ("record route, room for 3", RR(3)), ("for 1, full", RR(1, 8)), ("with a bad pointer", RR(2, 5)), ("with a short length", b"\7\2\4\0"), ("record route twice", RR(1) + RR(1)),
    ("timestamps", TS(3, 0)), ("timestamps with addresses", TS(2, 1)), ("timestamps full", TS(1, 0, 9)), ("timestamps full, overflow 15", TS(1, 0, 9, 15)), ("prespecified: the director's, another", tsp("10.0.1.1", "10.0.2.11")), ("prespecified: another first", tsp("10.9.9.9", "10.0.1.1")), ("prespecified: the virtual address", tsp(V4)), ("timestamps, flag 5", TS(2, 5)),
    ("router alert", b"\x94\4\0\0"), ("security", b"\x82\x0b" + bytes(9)), ("unknown 30", b"\x1e\4\0\0"), ("unknown copied 158", b"\x9e\4\0\0"), ("length past the header", b"\x1e\x28\0\0"), ("length 0", b"\x1e\0\0\0"), ("stream id", b"\x88\4\0\1"), ("end then rubbish", b"\0\7\7\7"),
    ("loose source route to another", bytes([131, 7, 4]) + A("10.0.2.12")), ("strict source route", bytes([137, 7, 4]) + A("10.0.2.12")), ("source route at its end", bytes([131, 7, 8]) + A("10.0.1.254")))
for asr in (0, 1):
    sysctl(net__ipv4__conf__all__accept_source_route=asr, net__ipv4__conf__c0__accept_source_route=asr, net__ipv4__conf__r0__accept_source_route=asr)
    for m in ("-m", "-g", "-i"):
        reset(f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r {r}:53 {m}")
        for name, o in OPTIONS if asr == 0 else OPTIONS[-3:]:
            title(f"accept_source_route={asr} {m} {name}"); seen("cl", with_options(udp(c, 4000, v, 53), o))
            if m == "-m": seen("rs", with_options(udp(r, 53, c, 4000), o))
title("a packet forwarded by the host alone, for comparison")
for name, o in OPTIONS[1:15]: print(" ", name); seen("cl", with_options(udp(c, 4000, "10.0.2.12", 99), o))
title("a TTL of 1 with options; too long with options; no destination, with options"); reset(f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r {r}:53 -m", f"-A -u {v}:54 -s rr"); seen("cl", with_options(udp(c, 4000, v, 53, ttl=1), RR(3))); sh("ip link set r0 mtu 1300"); seen("cl", with_options(udp(c, 4000, v, 53, b"x" * 1300), RR(3))); seen("cl", with_options(udp(c, 4000, v, 53, b"x" * 1300, df=False), RR(3) + b"\x94\4\0\0")); sh("ip link set r0 mtu 1500"); seen("cl", with_options(udp(c, 4000, v, 54), RR(3))); seen("cl", with_options(udp(c, 4000, v, 54), TS(3, 0)))
title("echo with options to the virtual address"); seen("cl", with_options(icmp(c, v, 8, 0, 1, b"abcd"), RR(3)))
title("errors with a quote whose IPv4 checksum is wrong: to the server, to the client"); client(udp(c, 4000, v, 53), quiet=True)
client(icmp("10.0.1.254", v, 3, 3, 0, udp(v, 53, c, 4000, bad=True))); server(icmp("10.0.2.254", c, 3, 3, 0, udp(c, 4000, r, 53, bad=True)))
title("errors from the servers' side: direct routing, tunnels; known and unknown")
for m in ("-g", "-i"):
    reset(f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r {r}:53 {m}"); client(udp(c, 4000, v, 53), quiet=True)
    server(icmp("10.0.2.254", c, 3, 3, 0, udp(c, 4000, v, 53))); server(icmp(r, c, 3, 1, 0, udp(c, 4000, v, 53))); server(icmp("10.0.2.254", c, 3, 4, 1400, udp(c, 4000, v, 53)[:36])); server(icmp("10.0.2.254", c, 3, 3, 0, udp(c, 4001, v, 53))); server(icmp("10.0.2.254", c, 3, 3, 0, udp(c, 4000, v, 53), ttl=1)); stats()
title("where a parameter problem points")
reset(f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r {r}:53 -m")
for name, o in (("record route, pointer 3", RR(2, 3)), ("pointer 9 of 11", RR(2, 9)), ("pointer 12 of 11", RR(2, 12)), ("timestamps, pointer 4", TS(2, 0, 4)), ("pointer 7 of 8", TS(1, 0, 7)), ("with addresses, pointer 9 of 12", TS(1, 1, 9)), ("prespecified, pointer 9 of 12", TS(1, 3, 9)), ("length 3", b"\x44\3\5\0"), ("twice", TS(1, 0) + TS(1, 0)), ("flag 5, full", TS(1, 5, 13)),
    ("router alert of 3 bytes", b"\x94\3\0\0"), ("of 2", b"\x94\2\0\0"), ("source route of 2 bytes", b"\x83\2\0\0"), ("twice", bytes([131, 7, 4]) + A("10.0.2.12") + bytes([137, 7, 4]) + A("10.0.2.12")), ("pointer 3", bytes([131, 7, 3]) + A("10.0.2.12")), ("record route after it, bad", bytes([131, 7, 4]) + A("10.0.2.12") + b"\7\2\4\0"), ("a kind without length at the end", b"\1\1\1\7"), ("end, then all", b"\0\1\2\3\4\5\6\7")):
    print(" ", name); seen("cl", with_options(udp(c, 4000, v, 53), o))
title("malformed options to a port that no service has; from a server without connection"); seen("cl", with_options(udp(c, 4000, v, 99), b"\7\2\4\0")); seen("rs", with_options(udp(r, 53, "10.0.1.3", 4000), b"\7\2\4\0"))
title("errors with options: to the server, to the client"); client(udp(c, 4000, v, 53), quiet=True)
for o in (RR(2), TS(2, 1)): seen("cl", with_options(icmp("10.0.1.254", v, 3, 3, 0, udp(v, 53, c, 4000)), o)); seen("rs", with_options(icmp("10.0.2.254", c, 3, 3, 0, udp(c, 4000, r, 53)), o))
