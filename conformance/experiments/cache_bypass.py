"""cache_bypass: connections past the service, to the packet's own destination. Marked packets to any address reach IPVS by a
route that makes them local, as a transparent proxy's do."""
from packets import *
setup()
MARK = "-t mangle -A PREROUTING -i c0 -j MARK --set-mark 7"
sh(f"iptables {MARK}; ip6tables {MARK}; ip rule add fwmark 7 lookup 100; ip route add local default dev lo table 100; ip -6 rule add fwmark 7 lookup 100; ip -6 route add local default dev lo table 100")
def table(): show("cat /proc/net/ip_vs_conn | sort | grep -v ^Pro; ipvsadm -Lcn | tail -n +3; ipvsadm -Ln | tail -n +4")
D4, D6 = "10.0.2.12", "2001:db8:2::12"
for v, c, d, r, f in ((V4, C4, D4, R4, "-f 7"), (V6, C6, D6, f"[{R6}]", "-f 7 -6")):
    for on in (0, 1):
        reset(f"-A {f} -s rr"); sysctl(net__ipv4__vs__cache_bypass=on)
        title(f"{c} mark service without server, cache_bypass={on}: SYN, datagram to another host; SYN to an address of the director; ACK")
        client(tcp(c, 4000, d, 80, "S", tos=0x20)); client(udp(c, 4001, d, 53)); client(tcp(c, 4002, v, 80, "S")); client(tcp(c, 4003, d, 80, "A")); table(); stats()
    title("the connection goes on: ACK, its answer, FIN; TTL 1; too long; to no route; bad checksum")
    client(tcp(c, 4000, d, 80, "A")); server(tcp(d, 80, c, 4000, "SA")); table(); client(tcp(c, 4000, d, 80, "FA")); client(tcp(c, 4000, d, 80, "A", ttl=1)); client(udp(c, 4001, d, 53, ttl=1))
    sh("ip link set r0 mtu 1300"); client(udp(c, 4001, d, 53, b"x" * 1350)); client(udp(c, 4001, d, 53, b"x" * 1350, df=False)); sh("ip link set r0 mtu 1500")
    client(udp(c, 4004, "10.9.9.9" if v == V4 else "2001:db8:9::9", 53)); table(); stats()
    title("errors about it: from the way to the server, from the client's side; the server's answer refused")
    client(icmp("10.0.1.254" if v == V4 else "2001:db8:1::254", d, *((3, 3) if v == V4 else (1, 4)), 0, udp(d, 53, c, 4001)))
    server(icmp("10.0.2.254" if v == V4 else "2001:db8:2::254", c, *((3, 3) if v == V4 else (1, 4)), 0, udp(c, 4001, d, 53)))
    table(); stats()
    title("a server comes: the old connection, a new one"); sh(f"ipvsadm -a {f} -r {r}:0 -g"); client(tcp(c, 4000, d, 80, "A")); client(udp(c, 4001, d, 53)); client(udp(c, 4010, d, 53)); table(); stats()
    title("the server goes with expire_nodest_conn=1"); sysctl(net__ipv4__vs__expire_nodest_conn=1); sh(f"ipvsadm -d {f} -r {r}:0"); time.sleep(.3); table(); client(udp(c, 4001, d, 53)); client(udp(c, 4010, d, 53)); table(); sysctl(net__ipv4__vs__expire_nodest_conn=0)
    title("the service goes"); sh(f"ipvsadm -D {f}"); client(udp(c, 4001, d, 53)); table()
    reset(f"-A {f} -s rr", f"-a {f} -r {r}:0 -m -w 0"); sysctl(net__ipv4__vs__cache_bypass=1)
    title("weight 0; overloaded; persistent; one-packet"); client(udp(c, 4001, d, 53)); table()
    reset(f"-A {f} -s rr", f"-a {f} -r {r}:0 -m -x 1"); sysctl(net__ipv4__vs__cache_bypass=1); client(udp(c, 4001, d, 53)); client(udp(c, 4002, d, 53)); table(); stats()
    reset(f"-A {f} -s rr -p 100"); sysctl(net__ipv4__vs__cache_bypass=1); client(udp(c, 4001, d, 53)); client(tcp(c, 4001, d, 80)); table()
    reset(f"-A {f} -s rr -o"); sysctl(net__ipv4__vs__cache_bypass=1); client(udp(c, 4001, d, 53)); client(udp(c, 4001, d, 53)); client(tcp(c, 4001, d, 80)); table(); stats()
    title("schedule_icmp"); sysctl(net__ipv4__vs__schedule_icmp=1)
    client(icmp("10.0.1.254" if v == V4 else "2001:db8:1::254", d, *((3, 3) if v == V4 else (1, 4)), 0, udp(d, 53, c, 4009))); table(); sysctl(net__ipv4__vs__schedule_icmp=0)
    b = f"[{v}]" if ":" in v else v
    title("an address service, without a mark"); sh("iptables -t mangle -F; ip6tables -t mangle -F")
    reset(f"-A -t {b}:80 -s rr", f"-A -u {b}:53 -s rr"); sysctl(net__ipv4__vs__cache_bypass=1); client(tcp(c, 4000, v, 80)); client(udp(c, 4001, v, 53)); table()
    sh(f"iptables {MARK}; ip6tables {MARK}")
title("timeouts: a bypass connection in SYN_RECV; drop_entry=3; conn_reuse; the SYN again"); reset("-A -f 7 -s rr"); sysctl(net__ipv4__vs__cache_bypass=1)
client(tcp(C4, 4000, D4, 80, "S")); table(); client(tcp(C4, 4000, D4, 80, "A")); table(); client(tcp(C4, 4000, D4, 80, "R")); table(); client(tcp(C4, 4000, D4, 80, "S")); table()
sysctl(net__ipv4__vs__drop_entry=3); time.sleep(4); table(); sysctl(net__ipv4__vs__drop_entry=0)
title("multicast and broadcast destinations"); client(udp(C4, 4100, "224.1.1.1", 53)); client(udp(C4, 4101, "10.0.1.255", 53)); client(udp(C4, 4102, "255.255.255.255", 53)); table()
title("from port 20; SCTP INIT"); client(udp(C4, 20, D4, 53)); table()
title("IPv6 to a server on the director: does it hear the datagram?"); s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind((V6, 53)); s.settimeout(.5)
reset("-A -f 7 -6 -s rr"); sysctl(net__ipv4__vs__cache_bypass=1); client(udp(C6, 4001, V6, 53)); client(udp(C6, 4001, V6, 53)); client(udp(C6, 4001, "2001:db8:2::12", 53)); table(); show("head -3 /proc/net/ip_vs_stats")
try: print("  heard", s.recv(100))
except TimeoutError: print("  not heard")
