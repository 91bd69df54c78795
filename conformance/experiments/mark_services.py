"""Services by firewall mark: which packets, which ports at the servers, groups of ports with persistence, a mark for a network that
is not the director's. The marks come from netfilter; on ipvsd the same rules are `ipvsd mark`."""
from packets import *
setup()
sh("ip rule add fwmark 7 lookup 100; ip route add local default dev lo table 100; ip -6 rule add fwmark 7 lookup 100; ip -6 route add local default dev lo table 100")
def table(): show("cat /proc/net/ip_vs_conn | sort | grep -v ^Pro; ipvsadm -Ln | tail -n +4")
def marks(v, *rules):
    tables = "ip6tables" if ":" in v else "iptables"
    sh("iptables -t mangle -F; ip6tables -t mangle -F")
    for proto, dst, ports, mark in rules:
        sh(f"{tables} -t mangle -A PREROUTING -i c0 -p {proto} -d {dst}" + (f" -m multiport --dports {ports}" if ports else "") + f" -j MARK --set-mark {mark}")
def one(p, via=client): print("  ", dissect(p)[:70], "=>", [f"{ns} {l[:110]}" for ns, l, _ in via(p, quiet=True, wait=.15)], flush=True)


for v, c, c2, s, f, d, net in ((V4, C4, "10.0.1.3", ("10.0.2.11", "10.0.2.12"), "-f 7", "10.0.2.13", "10.0.2.13/32"), (V6, C6, "2001:db8:1::3", ("[2001:db8:2::11]", "[2001:db8:2::12]"), "-f 7 -6", "2001:db8:2::13", "2001:db8:2::13/128")):
    bare = [x.strip("[]") for x in s]
    host = 32 if v == V4 else 128
    for port in (0, 8080):
        title(f"{v} rr, masquerading, destination port {port}: two ports of TCP, one of UDP, others")
        reset(f"-A {f} -s rr", *(f"-a {f} -r {x}:{port} -m" for x in s)); marks(v, ("tcp", v, "80,8000:8010", 7), ("udp", v, "53", 7))
        for p in (80, 8000, 8010, 8011, 443): one(tcp(c, 4000 + p, v, p))
        one(udp(c, 4001, v, 53)); one(udp(c, 4001, v, 54)); table()
        title("answers of the servers; one of no connection")
        a = bare[1]
        for x in bare:
            one(tcp(x, port or 80, c, 4080, "SA"), server); one(udp(x, port or 53, c, 4001), server)
        one(tcp(a, port or 80, c, 4999, "SA"), server); one(tcp(c, 4080, v, 80, "A")); table(); stats()
        title("persistent: both ports and both protocols to one server; another client")
        reset(f"-A {f} -s rr -p 300", *(f"-a {f} -r {x}:{port} -m" for x in s)); marks(v, ("tcp", v, "80,443", 7), ("udp", v, "", 7))
        for p in (80, 443): one(tcp(c, 4000 + p, v, p)); one(tcp(c2, 4000 + p, v, p))
        one(udp(c, 4001, v, 53)); table(); one(tcp(bare[1], 80, c, 4080, "SA"), server); one(tcp(bare[1], port or 443, c, 4443, "SA"), server)
    title("direct routing"); reset(f"-A {f} -s rr", *(f"-a {f} -r {x}:0 -g" for x in s)); marks(v, ("tcp", v, "80,443", 7))
    for p in (80, 443, 80): one(tcp(c, 4000 + p, v, p))
    one(tcp(c, 4001, v, 80, ttl=1)); table()
    title("a mark goes before the address's service, if it has a service; the first rule"); b = f"[{v}]" if ":" in v else v
    reset(f"-A -t {b}:80 -s rr", f"-a -t {b}:80 -r {s[0]}:80 -m", f"-A {f} -s rr", f"-a {f} -r {s[1]}:0 -m"); marks(v, ("tcp", v, "80", 7))
    one(tcp(c, 4001, v, 80)); sh(f"ipvsadm -D {f}"); one(tcp(c, 4002, v, 80)); table()
    title("no server: an address of the director"); reset(f"-A {f} -s rr"); marks(v, ("tcp", v, "80", 7), ("udp", v, "53", 7))
    one(tcp(c, 4001, v, 80)); one(udp(c, 4001, v, 53)); one(tcp(c, 4002, v, 80, "A")); table()
    title("FTP's ports, port 20 at the client's side"); reset(f"-A {f} -s rr", f"-a {f} -r {s[0]}:0 -m"); marks(v, ("tcp", v, "20,21", 7))
    one(tcp(c, 4001, v, 21)); one(tcp(c, 4002, v, 20)); one(tcp(c, 20, v, 21)); one(tcp(c, 4003, v, 5000)); table()
    title("one-packet UDP"); reset(f"-A {f} -s rr -o", *(f"-a {f} -r {x}:0 -m" for x in s)); marks(v, ("udp", v, "53", 7))
    one(udp(c, 4001, v, 53)); one(udp(c, 4001, v, 53)); table()
    n = "10.0.9.0/24" if v == V4 else "2001:db8:9::/64"
    e = "10.0.9.5" if v == V4 else "2001:db8:9::5"
    title(f"a network that is not the director's: {n}"); reset(f"-A {f} -s rr", *(f"-a {f} -r {x}:0 -m" for x in s)); marks(v, ("tcp", n, "80", 7), ("udp", n, "", 7))
    one(tcp(c, 4001, e, 80)); one(tcp(c, 4001, e[:-1] + "6", 80)); one(udp(c, 4001, e, 99)); table()
    one(tcp(bare[1], 80, c, 4001, "SA"), server); one(tcp(bare[0], 80, c, 4001, "SA"), server)
    one(tcp(c, 4001, e, 80, "A", ttl=1)); sh("ip link set r0 mtu 1300"); one(udp(c, 4001, e, 99, b"x" * 1350)); sh("ip link set r0 mtu 1500"); stats()
    title("and direct routing"); reset(f"-A {f} -s rr", f"-a {f} -r {s[0]}:0 -g"); marks(v, ("tcp", n, "80", 7), ("udp", n, "", 7))
    one(tcp(c, 4001, e, 80)); one(tcp(c, 4001, e, 80, "A", ttl=1)); sh("ip link set r0 mtu 1300"); one(udp(c, 4001, e, 99, b"x" * 1350)); sh("ip link set r0 mtu 1500"); table()
    title("and no server"); reset(f"-A {f} -s rr"); marks(v, ("tcp", n, "80", 7), ("udp", n, "", 7)); one(tcp(c, 4001, e, 80)); one(udp(c, 4001, e, 99)); table()
