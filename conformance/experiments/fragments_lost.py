"""Datagrams whose fragments do not all come: what the client is told and when; the first alone, the last alone, for a service and
for none."""
from packets import *
from fragments import pieces, B

setup()
title("seconds after a first, and a last, fragment")
begin = time.time()
for v, c in ((V4, C4), (V6, C6)):
    sh(f"ipvsadm -A -u {B(v)}:53 -s rr; ipvsadm -a -u {B(v)}:53 -r {B(R6 if ':' in v else R4)}:53 -m")
    for port, ident in ((53, 0x5001), (5353, 0x5002)):
        datagram = udp(c, 4001, v, port, data=b"x" * 1992)
        send("cl", pieces(datagram, [1000], ident)[0], 0.05)
        send("cl", pieces(datagram, [1000], ident + 16)[1], 0.05)
while time.time() - begin < 66:
    for n, l, b in collect(1, quiet=True):
        print(f"  after {time.time() - begin:.0f} s -> {n}: {l}", flush=True)
