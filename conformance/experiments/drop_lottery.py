"""drop_entry 3: connections that were idle for a minute, by the number of their packets (UDP ports 1, 2, 3, 8, 9: so many
packets each; TCP 80: established; TCP 81: established and one more segment; TCP 82: FIN_WAIT)."""
from packets import *
setup()
v, c = V4, C4
N = 300
reset(*[r for p in (1, 2, 3, 8, 9) for r in (f"-A -u {v}:{p} -s rr", f"-a -u {v}:{p} -r 10.0.2.11:{p} -g")], *[r for p in (80, 81, 82) for r in (f"-A -t {v}:{p} -s rr", f"-a -t {v}:{p} -r 10.0.2.11:{p} -g")])
def put(p): PORTS["cl"].send(DC + CMAC + b"\x08\x00" + p)
for i in range(N):
    for p in (1, 2, 3, 8, 9):
        for _ in range(p): put(udp(c, 5000 + i, v, p))
    for p, flags in ((80, "SA"), (81, "SAA"), (82, "SAF")):
        for f in flags: put(tcp(c, 5000 + i, v, p, f))
    if i % 10 == 9: time.sleep(.05)
time.sleep(1)


def count():
    n = {}
    for l in open("/proc/net/ip_vs_conn").readlines()[1:]:
        w = l.split(); k = f"{w[0]} {int(w[4], 16)} {w[7]}"; n[k] = n.get(k, 0) + 1
    return dict(sorted(n.items()))


print("  ", count()); sh("sysctl -qw net.ipv4.vs.drop_entry=3")
for s in (30, 32, 10, 10, 10): time.sleep(s); print("  ", s, count(), flush=True)
