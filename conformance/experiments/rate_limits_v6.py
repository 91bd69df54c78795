"""Rate limits of ICMPv6 errors: time exceeded by IPVS and by the host; routes of different prefixes."""
from packets import *
from rate_limits import counted, DEFAULT
v, c, r = V6, C6, R6
def after(w, ps): time.sleep(w); return counted(ps, wait=.2)
reset(f"-A -u [{v}]:53 -s rr", f"-A -u [{v}]:54 -s rr", f"-a -u [{v}]:54 -r [{r}]:54 -m", f"-A -u [{v}]:55 -s rr", f"-a -u [{v}]:55 -r [{r}]:55 -g"); sysctl(**DEFAULT); time.sleep(5)
title("time exceeded: by masquerading, by direct routing, of a server's answer, by the host's forwarding")
print("  ", counted([udp(c, 4000, v, 54, ttl=1) for i in range(20)])); print("  ", counted([udp(c, 4000, v, 55, ttl=1) for i in range(20)])); print("  ", counted([udp(r, 54, c, 4000, ttl=1) for i in range(20)], "rs")); time.sleep(5); print("  ", counted([udp(c, 4000, "2001:db8:2::12", 99, ttl=1) for i in range(20)]))
title("refill by the length of the route: /48, /128, /0, /32: burst, then after 1.2 s")
for n, p in ((48, "2001:db8:77::/48"), (128, "2001:db8:78::9"), (32, "2001:dba::/32"), (0, "default")):
    a = {48: "2001:db8:77::9", 128: "2001:db8:78::9", 32: "2001:dba::9", 0: "2001:dbb::9"}[n]; sh(f"ip -6 route replace {p} via 2001:db8:1::254"); time.sleep(.2)
    print("  ", n, counted([udp(a, 4000, v, 53) for i in range(20)], wait=.2), after(1, [udp(a, 4000, v, 53) for i in range(20)]), flush=True)
