"""Clients on the director itself: where IPVS sees their packets, which source and hop limit they leave with, how answers come back,
what is counted; and where packets that netfilter marked meet IPVS."""
from packets import *
import errno
setup()
A4, A6 = "10.0.1.1", "2001:db8:1::1"


def table(): show("cat /proc/net/ip_vs_conn | sort | grep -v ^Pro; ipvsadm -Ln | tail -n +4")


def sock(to, kind=socket.SOCK_DGRAM, source=None, ttl=None, mark=None):
    v6 = ":" in to
    s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, kind)
    s.setblocking(False)
    if source: s.bind((source, 5000))
    if ttl: s.setsockopt(41 if v6 else 0, 16 if v6 else 2, ttl)
    if mark: s.setsockopt(1, 36, mark)
    return s


def gets(s):
    time.sleep(.1)
    try: print("  client gets", s.recv(70000)[:20])
    except OSError as e: print("  client gets", errno.errorcode[e.errno])


def ask(to, port, data=b"x" * 20, quiet=False, **k):
    s = sock(to, **k)
    try: s.connect((to, port)); s.send(data); quiet or print(f"  client {s.getsockname()[0]} sends {len(data)} bytes to {to} {port}")
    except OSError as e: quiet or print("  client:", errno.errorcode[e.errno])
    out = collect(.3, quiet)
    return s, s.getsockname()[1], out


def syn(to, port):
    s = sock(to, socket.SOCK_STREAM)
    try: s.connect((to, port))
    except BlockingIOError: pass
    except OSError as e: print("  client:", errno.errorcode[e.errno])
    out = collect(.3)
    s.close()


for v, a, f, r in ((V4, A4, "", R4), (V6, A6, "-6", R6)):
    b, rb, x = (f"[{v}]", f"[{r}]", f"[{v}]") if ":" in v else (v, r, v)
    e, eb = ("2001:db8:1::200", "[2001:db8:1::200]") if ":" in v else ("10.0.1.200", "10.0.1.200")
    for where, to, tob in (("the host's", v, b), ("not the host's", e, eb)):
        for method in "mgi":
            title(f"{where} address {to}, -{method}")
            reset(f"-A -u {tob}:53 -s rr", f"-a -u {tob}:53 -r {rb}:53 -{method}", f"-A -t {tob}:80 -s rr", f"-a -t {tob}:80 -r {rb}:80 -{method}")
            s, port, out = ask(to, 53)
            me = s.getsockname()[0]
            if method == "m": server(udp(r, 53, me, port, b"answer"))
            elif me != to: server(udp(to, 53, me, port, b"answer"))
            gets(s); table(); stats(); syn(to, 80); table()
    title("no server"); reset(f"-A -u {b}:53 -s rr", f"-A -t {b}:80 -s rr"); s, *_ = ask(v, 53); gets(s); syn(v, 80)
    title("hop limit 1, masquerading")
    reset(f"-A -u {b}:53 -s rr", f"-a -u {b}:53 -r {rb}:53 -m"); s, *_ = ask(v, 53, ttl=1); gets(s)
    title("hop limit 1, direct routing")
    reset(f"-A -u {b}:53 -s rr", f"-a -u {b}:53 -r {rb}:53 -g"); s, *_ = ask(v, 53, ttl=1); gets(s)
    for m in "mg":
        title(f"4000 bytes, -{m}"); reset(f"-A -u {b}:53 -s rr", f"-a -u {b}:53 -r {rb}:53 -{m}"); s, port, out = ask(v, 53, b"y" * 4000)
    title("the answer has hop limit 1; an error about the client's packet, from the server's side")
    reset(f"-A -u {b}:53 -s rr", f"-a -u {b}:53 -r {rb}:53 -m"); s, port, out = ask(v, 53); me = s.getsockname()[0]
    server(udp(r, 53, me, port, b"answer", ttl=1)); gets(s)
    server(icmp(r, me, 1 if ":" in v else 3, 4 if ":" in v else 3, 0, out[0][2][14:]) if out else udp(r, 1, me, 1)); gets(s)
    own, ownb = ("2001:db8:2::1", "[2001:db8:2::1]") if ":" in v else ("10.0.2.1", "10.0.2.1")
    for m, p in (("m", 8053), ("g", 53)):
        title(f"the server is on the director too, -{m}"); reset(f"-A -u {b}:53 -s rr", f"-a -u {b}:53 -r {ownb}:{p} -{m}")
        l = sock(v); l.bind((own if m == "m" else v, p))
        s, port, out = ask(v, 53)
        try: d, frm = l.recvfrom(100); print("  server got", len(d), "from", frm[0], frm[1] == port); l.sendto(b"answer", frm)
        except OSError as ex: print("  server:", errno.errorcode[ex.errno])
        gets(s); l.close(); table(); stats()
    title("mark of the socket, service by mark, route by mark")
    sh("ip rule add fwmark 7 lookup 100; ip route add local default dev lo table 100; ip -6 rule add fwmark 7 lookup 100; ip -6 route add local default dev lo table 100")
    reset(f"-A -f 7 {f} -s rr", f"-a -f 7 {f} -r {rb}:0 -m"); s, *_ = ask(v, 54, mark=7); table()
    title("mark by OUTPUT")
    ipt = "ip6tables" if f else "iptables"
    reset(f"-A -f 7 {f} -s rr", f"-a -f 7 {f} -r {rb}:0 -m"); sh(f"{ipt} -t mangle -I OUTPUT -p udp -d {v} -j MARK --set-mark 7"); s, *_ = ask(v, 54); table(); sh(f"{ipt} -t mangle -F")
    title("mark by PREROUTING, of a local client's packet")
    reset(f"-A -f 7 {f} -s rr", f"-a -f 7 {f} -r {rb}:0 -m"); sh(f"{ipt} -t mangle -I PREROUTING -p udp -d {v} -j MARK --set-mark 7"); s, *_ = ask(v, 54); table()
    title("mark by PREROUTING, of a client's packet; priorities at which IPVS has it")
    c = C6 if f else C4
    client(udp(c, 4001, v, 99)); table()
    if not subprocess.run("nft list tables", shell=True, capture_output=True).returncode:
        for hook, make in (("input", lambda n: client(udp(c, 4100 + n, v, 99), quiet=True, wait=.2)), ("output", lambda n: ask(v, 53, b"x", quiet=True)[2])):
            if hook == "output": reset(f"-A -u {b}:53 -s rr", f"-a -u {b}:53 -r {rb}:53 -m")
            for n in ((-1, 50, 97, 98, 99, 100, 101) if hook == "input" else (-151, -101, -100, -99, -98, -97, -96, 0)):
                fam = "ip6" if f else "ip"
                sh(f"nft add table {fam} t; nft 'add chain {fam} t c {{ type filter hook {hook} priority {n}; }}'; nft add rule {fam} t c {fam} daddr {v} udp dport 1-65535 drop")
                print(f"  {hook} {n} drops:", "seen" if make(n % 200) else "not seen by IPVS"); sh(f"nft delete table {fam} t")
    sh(f"{ipt} -t mangle -F; ip rule del fwmark 7 lookup 100; ip -6 rule del fwmark 7 lookup 100; ip route flush table 100; ip -6 route flush table 100")
