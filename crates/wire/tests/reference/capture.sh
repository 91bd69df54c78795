# Makes client.pcap and server.pcap: what kernel IPVS (6.1) makes of the packets in packets.py, masquerading, seen on the
# client's and the server's side. Run by the reference kernel's runner with its lib.sh, send.py and packets.py in /in.
. /in/lib.sh
topo 1 >/dev/null 2>&1
ipvsadm -A -u 10.0.1.100:81; ipvsadm -A -u [2001:db8:1::100]:81
for p in 80 83; do ipvsadm -A -u 10.0.1.100:$p; ipvsadm -a -u 10.0.1.100:$p -r 10.0.2.11:$p -m;  ipvsadm -A -u [2001:db8:1::100]:$p; ipvsadm -a -u [2001:db8:1::100]:$p -r [2001:db8:2::11]:$p -m; done
on rs1 ip addr add 10.0.2.51/24 dev eth0; on rs1 ip -6 addr add 2001:db8:2::51/64 dev eth0 nodad
ip route add 10.0.2.51/32 dev br0 mtu 1000; ip -6 route add 2001:db8:2::51/128 dev br0 mtu 1280
ipvsadm -A -u 10.0.1.100:82; ipvsadm -a -u 10.0.1.100:82 -r 10.0.2.51:82 -m; ipvsadm -A -u [2001:db8:1::100]:82; ipvsadm -a -u [2001:db8:1::100]:82 -r [2001:db8:2::51]:82 -m
sysctl -w net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000 >/dev/null; sysctl -w net.ipv6.icmp.ratemask= >/dev/null 2>&1
on rs1 sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 
on rs1 python3 -c '
import socket,threading,time
for f,a in ((socket.AF_INET,"0.0.0.0"),(socket.AF_INET6,"::")):
  for p in (80,82):
    s=socket.socket(f,socket.SOCK_DGRAM)
    if f==socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6,socket.IPV6_V6ONLY,1)
    s.bind((a,p)); globals()["s%d%d"%(f,p)]=s
    threading.Thread(target=lambda s=s:[s.recvfrom(2000) for _ in range(99)],daemon=True).start()
time.sleep(30)' &
on cl tcpdump -i eth0 -U -w /tmp/cl.pcap 2>/dev/null & T1=$!
on rs1 tcpdump -i eth0 -U -w /tmp/rs.pcap 2>/dev/null & T2=$!
sleep 1.5
on cl python3 /in/send.py /in/packets.py
sleep 1; kill $T1 $T2; wait $T1 $T2
echo CLIENT; tcpdump -nvvr /tmp/cl.pcap -x 'not arp and not port 5353' 2>/dev/null
echo SERVER; tcpdump -nvvr /tmp/rs.pcap -x 'not arp' 2>/dev/null
cp /tmp/cl.pcap /out/client.pcap; cp /tmp/rs.pcap /out/server.pcap
ipvsadm -Ln --stats
