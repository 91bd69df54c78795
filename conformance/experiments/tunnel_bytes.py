"""Whole tunneled packets in hex, one a line after the type of tunnel: crates/wire/tests/reference/tunnels.txt is what this printed."""
from packets import *

setup()
B = lambda a: f"[{a}]" if ":" in a else a
TYPES = {"ipip": "ipip", "gue": "gue --tun-port 6080 --tun-nocsum", "gue-csum": "gue --tun-port 6080 --tun-csum",
         "gue-remcsum": "gue --tun-port 6080 --tun-remcsum", "gre": "gre --tun-nocsum", "gre-csum": "gre --tun-csum"}
sh("modprobe -a fou fou6 ip_gre ip6_gre ipip ip6_tunnel")
for v, c, r in ((V4, C4, R4), (V6, C6, R6), (V4, C4, R6), (V6, C6, R4)):
    for name, t in TYPES.items():
        reset(f"-A -u {B(v)}:53 -s rr", f"-a -u {B(v)}:53 -r {B(r)}:53 -i --tun-type {t}", f"-A -t {B(v)}:80 -s rr", f"-a -t {B(v)}:80 -r {B(r)}:80 -i --tun-type {t}")
        for p in [udp(c, 4001, v, 53, data=b"abcdefg"), udp(c, 4001, v, 53, data=b"abcdefg", df=False, ttl=7, tos=0x2f), udp(c, 4002, v, 53, data=b"abcdefgh", tos=0xb8),
                  tcp(c, 4003, v, 80, "S")] + [udp(c, 4001, v, 53, data=b"tos", tos=tos) for tos in (1, 2, 3, 0xff)]:
            for ns, line, b in client(p, quiet=True):
                if ns == "rs":
                    print(name, b[14:].hex())
