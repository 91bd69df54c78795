"""Tunneling: IPv4 packets without DF, which came whole, that do not fit into the tunnel: the outer packet goes in fragments."""
from packets import *
from fragments import B, line

setup()
for r in (R4, R6):
    for m in ("-i --tun-type ipip", "-i --tun-type gre --tun-csum", "-i --tun-type gue --tun-port 6080"):
        reset(f"-A -u {V4}:53 -s rr", f"-a -u {V4}:53 -r {B(r)}:53 {m}")
        title(f"to {r} {m}")
        for n in (1452, 1460, 1480, 1500):
            print(n)
            for ns, l, b in client(udp(C4, 4001, V4, 53, data=b"x" * (n - 28), df=False), quiet=True):
                print(f"  -> {ns}: {line(b) or l}")
