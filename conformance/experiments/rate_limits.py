"""Rate limits of ICMP errors: how many of a burst come, by peer, type and in all."""
from packets import *
setup()
DEFAULT = dict(net__ipv4__icmp_ratelimit=1000, net__ipv4__icmp_msgs_per_sec=1000, net__ipv4__icmp_msgs_burst=50, net__ipv6__icmp__ratelimit=1000)
def counted(ps, ns="cl", wait=.4):
    drain()
    for p in ps: PORTS[ns].send((DC + CMAC if ns == "cl" else DR + RMAC) + (b"\x86\xdd" if p[0] >> 4 == 6 else b"\x08\0") + p)
    kinds = {}
    for _, l, _ in collect(wait, True):
        k = " ".join(w for w in l.split() if w.startswith(("type", "code")))[:40].split(" ")[:2] if "ICMP" in l.split("[")[0] else l.split("[")[0].split()[-7:-6]
        kinds[str(k)] = kinds.get(str(k), 0) + 1
    return kinds
def main():
    for v, c, r, c2, far in ((V4, C4, R4, "10.0.1.3", "10.77.{}.{}"), (V6, C6, R6, "2001:db8:1::3", "2001:db8:77:{}::{}")):
        b = f"[{v}]" if ":" in v else v; br = f"[{r}]" if ":" in r else r
        reset(f"-A -u {b}:53 -s rr", f"-A -u {b}:54 -s rr", f"-a -u {b}:54 -r {br}:54 -m", f"-A -u {b}:55 -s rr", f"-a -u {b}:55 -r {br}:55 -g")
        sh(f"ip route add {'10.77.0.0/16 via 10.0.1.254' if v == V4 else '2001:db8:77::/48 via 2001:db8:1::254'}")
        title(f"{v}: no destination, bursts of 20 from one client; after 1.2, 2.2, 3.2, 12 s; another client at once")
        sysctl(**DEFAULT)
        print("  ", counted([udp(c, 4000 + i, v, 53) for i in range(20)]), flush=True)
        for w in (.9, 1.9, 2.9, 12): time.sleep(w); print("   after", w + .3, counted([udp(c, 4000 + i, v, 53) for i in range(20)]), flush=True)
        print("   another client", counted([udp(c2, 4000 + i, v, 53) for i in range(20)])); print("   after it the first", counted([udp(c, 4000 + i, v, 53) for i in range(20)]))
        time.sleep(12); title("time exceeded; then port unreachable: one bucket?"); print("  ", counted([udp(c, 4000, v, 54, ttl=1) for i in range(20)])); print("  ", counted([udp(c, 4000, v, 53) for i in range(20)]))
        title("too big: 20"); sh("ip link set r0 mtu 1300"); print("  ", counted([udp(c, 4000, v, 54, b"x" * 1350) for i in range(20)])); sh("ip link set r0 mtu 1500")
        title("statistics: an error that was not sent, direct routing"); print("  ", counted([udp(c, 4000, v, 55, ttl=1) for i in range(20)])); stats()
        title("100 clients by a router, one packet each; twice"); print("  ", counted([udp(far.format(i, 9), 4000, v, 53) for i in range(100)])); time.sleep(1.2); print("  ", counted([udp(far.format(i, 10), 4000, v, 53) for i in range(100)]))
        time.sleep(1.2); title("one client by a router, 20 packets"); print("  ", counted([udp(far.format(200, 9), 4000, v, 53) for i in range(20)]))
        title("ratelimit 0; mask 0; mask without type 3"); sysctl(net__ipv4__icmp_ratelimit=0, net__ipv6__icmp__ratelimit=0); print("  ", counted([udp(c, 4000, v, 53) for i in range(20)]))
        sysctl(**DEFAULT); time.sleep(1.2)
        if v == V4:
            show("sysctl net.ipv4.icmp_ratemask net.ipv4.icmp_ratelimit net.ipv4.icmp_msgs_per_sec net.ipv4.icmp_msgs_burst net.ipv6.icmp.ratemask net.ipv6.icmp.ratelimit")
            sysctl(net__ipv4__icmp_ratemask=0); print("   mask 0", counted([udp(c, 4000, v, 53) for i in range(20)])); sysctl(net__ipv4__icmp_ratemask=0x1818 - 8); print("   without 3", counted([udp(c, 4000, v, 53) for i in range(20)])); sysctl(net__ipv4__icmp_ratemask=0x1818)
            title("all in a burst while the peer's are used up: do refused ones use the limit of all?"); time.sleep(12); print("  ", counted([udp(c, 4000, v, 53) for i in range(60)] + [udp(far.format(i, 11), 4000, v, 53) for i in range(60)]))
        else:
            sysctl(net__ipv6__icmp__ratemask='"0-127"'); time.sleep(5); print("   mask 0-127, too big", end=""); sh("ip link set r0 mtu 1300"); print(counted([udp(c, 4000, v, 54, b"x" * 1350) for i in range(20)])); sh("ip link set r0 mtu 1500"); sysctl(net__ipv6__icmp__ratemask='"0-1,3-127"')
        title("resets for no listener, 20"); print("  ", counted([tcp(c, 4000 + i, v, 99) for i in range(20)]))
        title("a server's strays with nat_icmp_send"); sysctl(net__ipv4__vs__nat_icmp_send=1); time.sleep(2); print("  ", counted([udp(r, 54, c, 4999) for i in range(20)], "rs")); sysctl(net__ipv4__vs__nat_icmp_send=0)
if __name__ == "__main__":
    main()
