"""Ports of templates: UDP port 21, a server port in a service for all ports, a packet to port 0."""
from packets import *
setup()
v, c = V4, C4
S1, S2 = "10.0.2.11", "10.0.2.12"
def table(): show("sort /proc/net/ip_vs_conn | grep -v ^Pro")
def one(p): print("  ", dissect(p)[:60], "=>", [f"{ns} {l[:75]}" for ns, l, _ in client(p, quiet=True, wait=.1)], flush=True)


title("1 UDP service on port 21")
reset(f"-A -u {v}:21 -s rr -p 300", f"-a -u {v}:21 -r {S1}:2121 -m"); one(udp(c, 4001, v, 21)); one(udp(c, 4001, v, 3000)); table()
title("2 a service for all ports whose server has port 8080; a packet to port 0")
reset(f"-A -t {v}:0 -s rr -p 300", f"-a -t {v}:0 -r {S1}:8080 -m"); one(tcp(c, 4001, v, 80)); table(); one(tcp(c, 4002, v, 0)); table()
reset(f"-A -t {v}:0 -s rr -p 300", f"-a -t {v}:0 -r {S1}:8080 -m"); one(tcp(c, 4002, v, 0)); one(tcp(c, 4001, v, 80)); table()
title("3 a service for port 80 whose server has port 0")
reset(f"-A -t {v}:80 -s rr -p 300", f"-a -t {v}:80 -r {S1}:0 -m"); one(tcp(c, 4001, v, 80)); table()
title("4 an FTP service and one for all ports: data ports")
reset(f"-A -t {v}:21 -s rr -p 300", f"-a -t {v}:21 -r {S1}:21 -m", f"-A -t {v}:0 -s rr -p 200", f"-a -t {v}:0 -r {S2}:0 -m"); one(tcp(c, 4001, v, 3000)); one(tcp(c, 4001, v, 80)); one(tcp(c, 4001, v, 21)); table()
title("5 FTP without persistence: data ports, and one-packet UDP to a service for all ports")
reset(f"-A -t {v}:21 -s rr", f"-a -t {v}:21 -r {S1}:21 -m", f"-A -u {v}:0 -s rr -p 200 -o", f"-a -u {v}:0 -r {S2}:0 -m"); one(tcp(c, 4001, v, 3000)); one(udp(c, 4001, v, 3000)); table()
