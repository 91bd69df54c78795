"""The SIP persistence engine: which connection a message finds, templates by Call-ID, what listings show, one-packet scheduling,
messages from servers, TCP, edits. The forms of the header are sip_header.py's."""
from packets import *
setup()
v, c, C2 = V4, C4, "10.0.1.3"
S1, S2 = "10.0.2.11", "10.0.2.12"
sh("modprobe ip_vs_pe_sip")


def table(): show("sort /proc/net/ip_vs_conn | grep -v ^Pro; ipvsadm -Ln --persistent-conn | tail -n +4")


def sip(callid, method="INVITE", more=""):
    first = "SIP/2.0 200 OK" if method == "200" else f"{method} sip:a@{v} SIP/2.0"
    head = f"{first}\r\nVia: SIP/2.0/UDP {c}:5060;branch=z9hG4bK1\r\nFrom: <sip:b@{c}>;tag=1\r\nTo: <sip:a@{v}>\r\n"
    return (head + (f"Call-ID: {callid}\r\n" if callid is not None else "") + more + "CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n").encode()


def to(out): return [f"{ns} {l.split(' ')[1]} {l.split('UDP ')[-1].split()[0] if 'UDP' in l else l[-40:]}" for ns, l, _ in out] or "nothing"


def call(callid, src=c, sport=5060, dst=v, dport=5060, method="INVITE", data=None): print(f"  {method} {callid} {src}:{sport}>{dst}:{dport}:", to(client(udp(src, sport, dst, dport, sip(callid, method) if data is None else data), quiet=True, wait=.06)), flush=True)


def back(callid, srv=S1, sport=5060, dst=c, dport=5060, method="INVITE"): print(f"  server {method} {callid} {srv}:{sport}>{dst}:{dport}:", to(server(udp(srv, sport, dst, dport, sip(callid, method)), quiet=True, wait=.06)), flush=True)


def two(service, port=":5060", m="-m"): return [f"-A {service}"] + [f"-a {service.split(' -s')[0]} -r {s}{port} {m}" for s in (S1, S2)]


title("1 one call from several ports and addresses; another call from a known port")
afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip"))
call("a@x"); call("a@x"); call("a@x", sport=5061); call("a@x", C2); call("b@x"); call("b@x", sport=5070); call("b@x", C2, 5070, method="BYE"); call("a@x", C2, 5071, method="200"); table()
show("cat /proc/net/ip_vs_conn | head -1; ipvsadm -Lnc --persistent-conn | head -4; ipvsadm -Lnc | head -3; ipvsadm -Sn; ipvsadm -Ln; cat /proc/net/ip_vs")
show("ipvsadm -Lnc --persistent-conn | grep -v ^IPVS | cut -c 1-3,11- | sort")
title("1b equal beginnings; messages without Call-ID; no SIP at all; an empty datagram")
call("a@xy", sport=6000); call("a@", sport=6001); call("a", sport=6002); call(None, sport=6003); call(None, sport=6004); call(None, C2, 6003); call("", "10.0.1.4", 6005, data=b"hello world"); call("", "10.0.1.5", 6006, data=b""); table()
title("2 one-packet scheduling")
afresh(*two(f"-u {v}:5060 -s rr -o -p 300 --pe sip"))
call("a@x"); call("b@x"); call("a@x"); call("b@x"); call("a@x", C2, 7000); call(None); call(None); call(None, C2); table()
title("2b answers and requests of servers, one-packet")
back("a@x", method="200"); back("a@x", S2, method="200"); back("new@x"); back("new@x", S2); table(); call("new@x"); call("new@x", C2); back(None); back("z@x", "10.0.2.13"); back("z@x", S1, 5070); table(); stats()
title("2c the same, the service without an engine")
afresh(*two(f"-u {v}:5060 -s rr -o -p 300")); call("a@x"); back("a@x", method="200"); back("new@x"); table()
title("3 servers' messages, without -o")
afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip"))
back("s@x"); table(); back("s@x"); call("s@x"); call("s@x", sport=5061); call("t@x", C2); back("t@x", dst=C2); back("t@x", S2, dst=C2); back("s@x", S2); back("s@x", S2, dport=5099); back("u@x", S2, 5061, C2, 5061); back(None, S2, dst="10.0.1.4"); table(); stats()
title("3b servers' messages where direct routing is used, and with weight 0, and removed")
afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip", m="-g")); back("s@x"); table()
afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip")); sh(f"ipvsadm -e -u {v}:5060 -r {S1}:5060 -m -w 0; ipvsadm -d -u {v}:5060 -r {S2}:5060"); back("s@x"); back("s@x", S2); table()
title("3c servers' port differs from the service's; no server port; service for all ports")
afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip", ":5080")); back("s@x"); back("s@x", sport=5080); table()
afresh(*two(f"-u {v}:0 -s rr -p 300 --pe sip", ":0")); back("s@x"); back("s@x", sport=5080, dport=5061); call("s@x", C2, 5062, dport=5080); call("s@x", C2, 5063, dport=5061); call("w@x", C2, 5064, dport=53); table()
title("3d two services with the engine, one server")
afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip"), *two(f"-u {v}:5061 -s rr -p 200 --pe sip")); back("s@x"); back("s@x", dst=C2); call("s@x", C2, 5062, dport=5061); table()
title("4 netmask /24: calls with Call-ID and without")
afresh(*two(f"-u {v}:5060 -s rr -p 300 -M 255.255.255.0 --pe sip")); call("a@x"); call("a@x", "10.0.3.3"); call(None); call(None, C2); call(None, "10.0.3.3"); table()
title("5 IPv6, and IPv4 with the same Call-ID")
afresh(f"-A -u [{V6}]:5060 -s rr -p 300 -M 64 --pe sip", *(f"-a -u [{V6}]:5060 -r [2001:db8:2::{i}]:5060 -m" for i in (11, 12)), *two(f"-u {v}:5060 -s rr -p 300 --pe sip"))
call("a@x", C6, dst=V6); call("a@x", C6, 5061, dst=V6); call("a@x", "2001:db8:1::3", 5061, dst=V6); call("b@x", "2001:db8:1:1::3", dst=V6); call("a@x"); call(None, C6, 5062, V6); table()
server(udp("2001:db8:2::12", 5060, C6, 5065, sip("n@x"))); table()
title("6 the service persistent no longer; without -p from the start; engine taken away and given back")
afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip")); call("a@x"); sh(f"ipvsadm -E -u {v}:5060 -s rr --pe sip"); call("a@x", sport=5061); call("a@x", sport=5062); show("ipvsadm -Sn"); back("n@x", dport=5069); table()
afresh(*two(f"-u {v}:5060 -s rr --pe sip")); show("ipvsadm -Sn; ipvsadm -Ln"); call("a@x"); call("a@x", sport=5062); table()
afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip")); call("a@x"); sh(f"ipvsadm -E -u {v}:5060 -s rr -p 300"); show("ipvsadm -Sn"); call("a@x", sport=5061); call("a@x", sport=5062); back("n@x", dport=5069); table()
sh(f"ipvsadm -E -u {v}:5060 -s rr -p 300 --pe sip"); call("a@x", sport=5063); call("a@x", C2, sport=5063); table()
sh(f"ipvsadm -E -u {v}:5060 -s rr -p 300 --pe nosuch"); show("ipvsadm -Sn")
title("6b deleted and added again")
sh(f"ipvsadm -D -u {v}:5060"); table(); [sh("ipvsadm " + x) for x in two(f"-u {v}:5060 -s rr -p 300 --pe sip")]; call("a@x", sport=5064); call("a@x", sport=5065); table()
title("7 a removed server, a quiescent one with and without expire_quiescent_template")
afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip")); call("a@x"); call("b@x", C2); sh(f"ipvsadm -d -u {v}:5060 -r {S2}:5060"); call("a@x", sport=5061); call("a@x", sport=5062); call("b@x", sport=5063); table()
for q in (0, 1):
    afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip")); sysctl(net__ipv4__vs__expire_quiescent_template=q); call("a@x"); sh(f"ipvsadm -e -u {v}:5060 -r {S2}:5060 -m -w 0"); call("a@x", sport=5061); call("a@x", sport=5062); table()
title("8 lifetime: 5 s; a message of the connection, a new connection; ASSURED by an answer")
afresh(*two(f"-u {v}:5060 -s rr -p 5 --pe sip")); call("a@x"); time.sleep(3); call("a@x"); table(); call("a@x", sport=5061); table(); back("a@x", S2, method="200"); table(); time.sleep(6); table()
afresh(*two(f"-u {v}:5060 -s rr -p 5 -o --pe sip")); call("a@x"); call("b@x"); time.sleep(3); call("a@x"); time.sleep(3); table(); back("a@x", S2, method="200"); table(); time.sleep(3); table(); time.sleep(4); table()
title("9 TCP and SCTP services with the engine")
sh("modprobe ip_vs_pe_sip")
afresh(f"-A -t {v}:5060 -s rr -p 300 --pe sip", *(f"-a -t {v}:5060 -r {s}:5060 -m" for s in (S1, S2)))
for f, d in (("S", b""), ("S", sip("a@x"))):
    client(tcp(c, 4001 + len(d), v, 5060, f, d))
server(tcp(S1, 5060, c, 4050, "S")); server(tcp(S1, 5060, c, 4051, "S", sip("q@x"))); table(); show("ipvsadm -Sn")
title("9b a service for all of a mark")
MARK = ("nft add table ip m; nft add chain ip m p '{ type filter hook prerouting priority mangle; }'; nft add rule ip m p ip daddr 10.0.1.100 meta mark set 258")
afresh(*two("-f 258 -s rr -p 300 --pe sip", ":0")); sh(MARK); call("a@x"); call("a@x", C2, 5061, dport=5062); client(tcp(c, 4001, v, 80, "S")); table()
title("9c an ICMP error about a packet of no connection, scheduled")
afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip")); sysctl(net__ipv4__vs__schedule_icmp=1); client(icmp(c, v, 3, 3, 0, udp(v, 5060, c, 5060, sip("a@x")))); table()
title("3e two services, one server: the other order; not persistent: with and without Call-ID, answers after the service is gone")
afresh(*two(f"-u {v}:5061 -s rr -p 200 --pe sip"), *two(f"-u {v}:5060 -s rr -p 300 --pe sip")); back("s@x"); table()
afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip"), *two(f"-u {v}:5061 -s rr -p 200 --pe sip"), *two(f"-u {v}:5062 -s rr -p 200")); back("s@x"); sh(f"ipvsadm -d -u {v}:5061 -r {S1}:5060"); back("u@x", dst=C2); sh(f"ipvsadm -a -u {v}:5061 -r {S1}:5060 -m"); back("w@x", dport=5070); sh(f"ipvsadm -e -u {v}:5060 -r {S1}:5060 -m -w 3; ipvsadm -E -u {v}:5060 -s wrr -p 300 --pe sip"); back("y@x", dport=5071); table()
afresh(*two(f"-u {v}:5060 -s rr --pe sip")); back(None); back("s@x"); call("s@x"); back("s@x", S2, dst=C2); sh(f"ipvsadm -D -u {v}:5060"); back("t@x", S2, dst="10.0.1.4"); table()
afresh(*two(f"-u {v}:5060 -s rr -o --pe sip")); back(None); back("s@x"); call("s@x"); call(None); table()
title("3f thresholds; one answer that is too large; a server's message for a connection's client whose server is another: what the client's next finds")
afresh(f"-A -u {v}:5060 -s rr -p 300 --pe sip", f"-a -u {v}:5060 -r {S1}:5060 -m -x 1"); back("s@x"); back("t@x", dport=5061); call("w@x", C2); table()
afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip")); call("a@x"); back("b@x", S1); back("c@x", S2); call("a@x"); call("b@x"); back("d@x", S1); back("d@x", S2); table(); stats()
title("3g a service on port 21, for which templates have no port")
afresh(*two(f"-u {v}:21 -s rr -p 300 --pe sip", ":21")); call("a@x", dport=21); back("b@x", sport=21); call("b@x", sport=5061, dport=21); call("c@x", C2, 5061, dport=22); table()
title("3h a service for all ports whose servers have one")
afresh(*two(f"-u {v}:0 -s rr -p 300 --pe sip")); back("s@x"); call("s@x", sport=5061, dport=5070); call("s@x", C2, 5061, dport=5060); table()
title("3i nat_icmp_send: a server's message with and without Call-ID")
afresh(*two(f"-u {v}:5060 -s rr -p 300 --pe sip")); sysctl(net__ipv4__vs__nat_icmp_send=1); back("s@x"); back(None, dport=5061); table()
title("3j no server takes calls: with and without Call-ID")
afresh(f"-A -u {v}:5060 -s rr -p 300 --pe sip"); call("a@x"); call(None); table()
title("10 the module")
afresh(); show("lsmod | grep pe_sip; ipvsadm -A -u 10.0.1.100:5060 -s rr -p 300 --pe sip; lsmod | grep pe_sip; ipvsadm -A -u 10.0.1.100:5061 -s rr -p 300 --pe SIP; ipvsadm -A -u 10.0.1.100:5061 -s rr -p 300 --pe si; ipvsadm -A -u 10.0.1.100:5062 -s rr -p 300 --pe ''; ipvsadm -A -u 10.0.1.100:5063 -s none -p 300 --pe sip; ipvsadm -Sn")
