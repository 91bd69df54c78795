"""ignore_tunneled, backup_only, snat_reroute; corner cases of nat_icmp_send."""
from packets import *
setup()
v, c, r = V4, C4, R4
def table(): show("cat /proc/net/ip_vs_conn | sort | grep -v ^Pro; ipvsadm -Ln | tail -n +4")
def rules(m="-m"): return (f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:80 {m}", f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r {r}:53 {m}")
title("backup_only: daemons master, backup, both; masquerading")
for on in (0, 1):
    for daemons in ((), ("master",), ("backup",), ("master", "backup")):
        reset(*rules()); client(udp(c, 4001, v, 53), quiet=True); client(tcp(c, 4000, v, 80), quiet=True)
        for d in daemons: sh(f"ipvsadm --start-daemon {d} --mcast-interface c0")
        sysctl(net__ipv4__vs__backup_only=on)
        print(f"  backup_only={on} daemons={daemons}: a known connection's packet, its answer, errors about both, a new one, a new SYN, a stray of the server with nat_icmp_send=1")
        sysctl(net__ipv4__vs__nat_icmp_send=1)
        client(udp(c, 4001, v, 53)); server(udp(r, 53, c, 4001)); client(icmp("10.0.1.254", v, 3, 3, 0, udp(v, 53, c, 4001))); server(icmp("10.0.2.254", c, 3, 3, 0, udp(c, 4001, r, 53))); client(udp(c, 4002, v, 53)); client(tcp(c, 4003, v, 80)); server(udp(r, 53, c, 4999)); server(tcp(r, 80, c, 4999, "A")); table(); stats()
        for d in daemons: sh(f"ipvsadm --stop-daemon {d}")
title("backup_only, IPv6 and direct routing"); reset(*rules("-g"), f"-A -u [{V6}]:53 -s rr", f"-a -u [{V6}]:53 -r [{R6}]:53 -m")
client(udp(C6, 4001, V6, 53), quiet=True); sh("ipvsadm --start-daemon backup --mcast-interface c0"); sysctl(net__ipv4__vs__backup_only=1)
client(udp(C6, 4001, V6, 53)); server(udp(R6, 53, C6, 4001)); client(udp(C6, 4002, V6, 53)); client(udp(c, 4002, v, 53)); table(); sh("ipvsadm --stop-daemon backup")
title("ignore_tunneled: a packet to the service in IP in IP, to the director's own tunnel device")
sh("modprobe ipip; ip link set tunl0 up; sysctl -qw net.ipv4.conf.tunl0.rp_filter=0 net.ipv4.conf.all.rp_filter=0")
for on in (0, 1):
    reset(*rules("-g")); sysctl(net__ipv4__vs__ignore_tunneled=on); print(f"  ignore_tunneled={on}")
    client(ip(c, "10.0.1.1", 4, udp(c, 4000, v, 53))); client(ip(c, "10.0.1.1", 4, tcp(c, 4000, v, 80))); client(ip(c, v, 4, udp(c, 4001, v, 53))); table()
sysctl(net__ipv4__vs__ignore_tunneled=0)
title("snat_reroute: a rule by source, for the server's address and for the virtual one")
for on in (0, 1):
    for source in (r, v):
        reset(*rules()); sysctl(net__ipv4__vs__snat_reroute=on); client(udp(c, 4001, v, 53), quiet=True)
        sh(f"ip rule add from {source} lookup 200; ip route add default via 10.0.1.254 dev c0 table 200; ip route add 10.0.1.0/24 via 10.0.2.12 dev r0 table 200")
        print(f"  snat_reroute={on}, rule from {source}"); server(udp(r, 53, c, 4001))
        sh(f"ip rule del from {source} lookup 200; ip route flush table 200")
title("nat_icmp_send: methods, marks, port 0, weight 0, trash; to broadcast, multicast; echo; SCTP; fragments; bad checksum; options")
sh("modprobe sctp", check=False)
for m in ("-m", "-g", "-i"):
    reset(*rules(m)); sysctl(net__ipv4__vs__nat_icmp_send=1); print(" ", m); server(udp(r, 53, c, 4999)); server(tcp(r, 80, c, 4999, "SA"))
reset(f"-A -f 7 -s rr", f"-a -f 7 -r {r}:0 -m", f"-a -f 7 -r {r}:53 -m"); sysctl(net__ipv4__vs__nat_icmp_send=1); print("  mark"); server(udp(r, 53, c, 4999)); server(udp(r, 54, c, 4999))
reset(f"-A -u {v}:53 -s rr -p 60", f"-a -u {v}:53 -r {r}:0 -m", f"-A -u {v}:0 -s rr -p 60", f"-a -u {v}:0 -r 10.0.2.12:0 -m"); sysctl(net__ipv4__vs__nat_icmp_send=1); print("  port 0"); show("ipvsadm -Sn"); server(udp(r, 53, c, 4999)); server(udp("10.0.2.12", 53, c, 4999)); server(udp("10.0.2.12", 0, c, 4999))
reset(f"-A -u {v}:53 -s rr", f"-a -u {v}:53 -r {r}:53 -m -w 0"); sysctl(net__ipv4__vs__nat_icmp_send=1); print("  weight 0, then in the trash"); server(udp(r, 53, c, 4999)); sh(f"ipvsadm -d -u {v}:53 -r {r}:53"); server(udp(r, 53, c, 4999))
reset(*rules()); sysctl(net__ipv4__vs__nat_icmp_send=1); print("  to 10.0.1.255, 224.0.0.5, to the director, to the virtual address, to another server")
for to in ("10.0.1.255", "224.0.0.5", "10.0.2.1", v, "10.0.2.12"): server(udp(r, 53, to, 4999))
print("  echo, bad checksums, fragments"); server(icmp(r, c, 8, 0, 0, b"x" * 8)); server(udp(r, 53, c, 4999, badc=True)); server(tcp(r, 80, c, 4999, "A", badc=True)); server(udp(r, 53, c, 4999, mf=True, df=False)); server(udp(r, 53, c, 4999, off=800, df=False, ident=3))
print("  an error from the server about nothing known"); server(icmp(r, c, 3, 3, 0, udp(c, 4999, r, 53)))
print("  sources that get no error: from a broadcast address"); table()
