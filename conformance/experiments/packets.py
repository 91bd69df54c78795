"""Hand-made packets around a director: for the experiments in this folder, run on the reference kernel by ./run.

Network: client segment (netns cl, director's c0: 10.0.1.1/24, 2001:db8:1::1/64) and server segment (netns rs, director's
r0: 10.0.2.1/24, 2001:db8:2::1/64). Clients 10.0.1.2, 2001:db8:1::2; a router 10.0.1.254; servers 10.0.2.11.. and
2001:db8:2::11... None of them is a real stack: packets are written to and read from packet sockets, neighbours on the
director are permanent. The virtual address (10.0.1.100, 2001:db8:1::100) is an address of c0.
"""
import ctypes, os, select, socket, struct, subprocess, sys, time

LIBC = ctypes.CDLL(None, use_errno=True)
CMAC, RMAC = bytes.fromhex("020000000102"), bytes.fromhex("020000000211")
DC, DR = bytes.fromhex("020000000101"), bytes.fromhex("020000000201")
C4, C6, V4, V6 = "10.0.1.2", "2001:db8:1::2", "10.0.1.100", "2001:db8:1::100"
R4, R6 = "10.0.2.11", "2001:db8:2::11"
PORTS = {}


def sh(cmd, check=True):
    r = subprocess.run(cmd, shell=True, capture_output=True, text=True)
    if check and r.returncode:
        print(f"$ {cmd}: rc={r.returncode} {r.stderr.strip()}")
    return r.stdout


def show(cmd):
    r = subprocess.run(cmd, shell=True, capture_output=True, text=True)
    print(f"  $ {cmd}" + (f" rc={r.returncode}" if r.returncode else ""))
    for line in (r.stdout + r.stderr).splitlines():
        print("  |", line)


def title(t):
    print(f"\n## {t}", flush=True)


def sysctl(**kv):
    for k, v in kv.items():
        sh(f"sysctl -qw {k.replace('__', '.')}={v}")


def setup(mtu_r=1500):
    sh("modprobe ip_vs; sysctl -eqw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 "
       "net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0 net.ipv4.conf.all.send_redirects=0 "
       "net.ipv4.conf.default.send_redirects=0 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv4.icmp_msgs_per_sec=1000000 "
       "net.ipv4.icmp_msgs_burst=1000000")
    sh("ip link set lo up")
    for ns, dev, dmac, pmac in (("cl", "c0", DC, CMAC), ("rs", "r0", DR, RMAC)):
        sh(f"ip netns add {ns}; ip link add {dev} address {dmac.hex(':')} type veth peer name eth0 netns {ns} address {pmac.hex(':')}")
        sh(f"ip netns exec {ns} sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip netns exec {ns} ip link set eth0 up; ip link set {dev} up")
    sh("ip addr add 10.0.1.1/24 dev c0; ip addr add 10.0.1.100/32 dev c0; ip addr add 10.0.2.1/24 dev r0")
    sh("ip -6 addr add 2001:db8:1::1/64 dev c0 nodad; ip -6 addr add 2001:db8:1::100/128 dev c0 nodad; ip -6 addr add 2001:db8:2::1/64 dev r0 nodad")
    for i in (2, 3, 4, 254):
        sh(f"ip neigh replace 10.0.1.{i} lladdr {CMAC.hex(':')} dev c0 nud permanent; ip neigh replace 2001:db8:1::{i} lladdr {CMAC.hex(':')} dev c0 nud permanent")
    for i in (11, 12, 13):
        sh(f"ip neigh replace 10.0.2.{i} lladdr {RMAC[:5].hex(':')}:{i} dev r0 nud permanent; ip neigh replace 2001:db8:2::{i} lladdr {RMAC[:5].hex(':')}:{i} dev r0 nud permanent")
    if mtu_r != 1500:
        sh(f"ip link set r0 mtu {mtu_r}")
    sh("ethtool -K c0 tx off gro off; ethtool -K r0 tx off gro off", check=False)
    for ns in ("cl", "rs"):
        fd = os.open(f"/var/run/netns/{ns}", os.O_RDONLY)
        me = os.open("/proc/self/ns/net", os.O_RDONLY)
        assert LIBC.setns(fd, 0x40000000) == 0
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.bind(("eth0", 3))
        assert LIBC.setns(me, 0x40000000) == 0
        PORTS[ns] = s
    time.sleep(1.2)
    drain()


def csum(b):
    if len(b) % 2:
        b += b"\0"
    s = sum(struct.unpack(f"!{len(b)//2}H", b))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def addr(a):
    return socket.inet_pton(socket.AF_INET6 if ":" in a else socket.AF_INET, a)


def pseudo(src, dst, proto, n):
    s, d = addr(src), addr(dst)
    return s + d + (struct.pack("!BBH", 0, proto, n) if len(s) == 4 else struct.pack("!IHBB", n, 0, 0, proto))


def ip(src, dst, proto, payload, ttl=64, tos=0, ident=0x1234, df=True, mf=False, off=0, bad=False):
    if ":" in src:
        return struct.pack("!IHBB", 6 << 28 | tos << 20, len(payload), proto, ttl) + addr(src) + addr(dst) + payload
    h = struct.pack("!BBHHHBBH4s4s", 0x45, tos, 20 + len(payload), ident, (0x4000 if df else 0) | (0x2000 if mf else 0) | off // 8, ttl, proto, 0, addr(src), addr(dst))
    c = csum(h) ^ (0x5555 if bad else 0)
    return h[:10] + struct.pack("!H", c) + h[12:] + payload


FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}


def tcp(src, sport, dst, dport, flags="S", data=b"", seq=1000, ack=None, badc=False, **k):
    f = sum(FLAGS[c] for c in flags)
    ack = ack if ack is not None else (2000 if "A" in flags else 0)
    h = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, f, 8192, 0, 0) + data
    c = csum(pseudo(src, dst, 6, len(h)) + h) ^ (0x1111 if badc else 0)
    return ip(src, dst, 6, h[:16] + struct.pack("!H", c) + h[18:], **k)


def udp_seg(src, sport, dst, dport, data, badc=False, zero=False):
    h = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
    c = csum(pseudo(src, dst, 17, len(h)) + h) or 0xffff
    c = 0 if zero else c ^ (0x1111 if badc else 0)
    return h[:6] + struct.pack("!H", c) + h[8:]


def udp(src, sport, dst, dport, data=b"x" * 20, badc=False, zero=False, **k):
    return ip(src, dst, 17, udp_seg(src, sport, dst, dport, data, badc, zero), **k)


def icmp(src, dst, typ, code, rest, inner, **k):
    """An ICMP or ICMPv6 message: rest is the second word."""
    v6 = ":" in src
    h = struct.pack("!BBHI", typ, code, 0, rest) + inner
    c = csum((pseudo(src, dst, 58, len(h)) if v6 else b"") + h)
    return ip(src, dst, 58 if v6 else 1, h[:2] + struct.pack("!H", c) + h[4:], **k)


def drain():
    for s in PORTS.values():
        while select.select([s], [], [], 0)[0]:
            s.recv(65535)


def l4(proto, p, src, dst, verify=True):
    if proto == 6 and len(p) >= 20:
        sp, dp, seq, ack, off, fl, win, c, _ = struct.unpack("!HHIIBBHHH", p[:20])
        f = "".join(n for n, b in FLAGS.items() if fl & b)
        ok = "" if not verify else (" csum=ok" if csum(pseudo(src, dst, 6, len(p)) + p) == 0 else f" csum=BAD({c:04x})")
        return f"TCP {sp}>{dp} {f} seq={seq} ack={ack} data={len(p)-4*(off>>4)}{ok}"
    if proto == 6 or (proto == 17 and len(p) < 8):
        return f"{'TCP' if proto == 6 else 'UDP'} {struct.unpack('!HH', p[:4]) if len(p) >= 4 else ''} +{len(p)} bytes csum-not-quoted"
    if proto == 17:
        sp, dp, n, c = struct.unpack("!HHHH", p[:8])
        ok = "" if not verify else (" csum=0" if c == 0 else " csum=ok" if csum(pseudo(src, dst, 17, len(p)) + p) == 0 else f" csum=BAD({c:04x})")
        return f"UDP {sp}>{dp} len={n} data={len(p)-8}{ok or f' c={c:04x}'}"
    if proto in (1, 58):
        t, c, cs, rest = struct.unpack("!BBHI", p[:8])
        v = csum((pseudo(src, dst, 58, len(p)) if proto == 58 else b"") + p) == 0
        s = f"{'ICMP' if proto == 1 else 'ICMPv6'} type={t} code={c} rest={rest:#x} {'csum=ok' if v else 'csum=BAD'}"
        if (proto == 1 and t in (3, 4, 5, 11, 12)) or (proto == 58 and t < 128):
            s += f" quote={len(p)-8} [" + dissect(p[8:], True) + "]"
        return s
    return f"proto {proto} {len(p)} bytes"


def dissect(b, inner=False):
    if b[0] >> 4 == 4:
        hl = (b[0] & 15) * 4
        tos, tot, ident, fo, ttl, proto = b[1], *struct.unpack("!HHHBB", b[2:10])
        src, dst = socket.inet_ntop(2, b[12:16]), socket.inet_ntop(2, b[16:20])
        ok = "" if csum(b[:hl]) == 0 else " ipcsum=BAD"
        fr = (" DF" if fo & 0x4000 else "") + (" MF" if fo & 0x2000 else "") + (f" off={(fo & 0x1fff)*8}" if fo & 0x1fff else "")
        p = b[hl:tot]
        whole = len(b) >= tot and not fo & 0x3fff
        head = f"IP {src}>{dst} ttl={ttl} tos={tos:#x} id={ident:#x}{fr} len={tot}{ok} "
        if fo & 0x1fff:
            return head + f"fragment proto={proto} {len(p)} bytes"
        return head + l4(proto, p, src, dst, whole)
    src, dst = socket.inet_ntop(10, b[8:24]), socket.inet_ntop(10, b[24:40])
    plen, nh, hop = struct.unpack("!HBB", b[4:8])
    tc = (struct.unpack("!I", b[:4])[0] >> 20) & 255
    fl = struct.unpack("!I", b[:4])[0] & 0xfffff
    p = b[40:40 + plen]
    return f"IP6 {src}>{dst} hop={hop} tc={tc:#x} flow={fl:#x} plen={plen} " + l4(nh, p, src, dst, len(b) >= 40 + plen)


def noise(b):
    et = struct.unpack("!H", b[12:14])[0]
    if et not in (0x800, 0x86dd):
        return et != 0x806
    if et == 0x86dd and b[20] in (0, 58) and (b[20] == 0 or b[54] in (133, 134, 143, 130, 131)):
        return True
    return False


def collect(wait=0.25, quiet=False):
    out, end = [], time.time() + wait
    while time.time() < end:
        r = select.select(list(PORTS.values()), [], [], max(0, end - time.time()))[0]
        for s in r:
            b, sa = s.recvfrom(65535)
            if sa[2] == 4 or noise(b):
                continue
            ns = [n for n, x in PORTS.items() if x is s][0]
            et = struct.unpack("!H", b[12:14])[0]
            if et == 0x806:
                line = f"ARP op={b[21]} {socket.inet_ntoa(b[28:32])} asks {socket.inet_ntoa(b[38:42])}"
            else:
                line = dissect(b[14:])
            if et == 0x86dd and b[20] == 58 and b[54] in (135, 136):
                line = "ND " + line[:120]
            out.append((ns, line, b))
            if not quiet:
                print(f"  -> {'client' if ns == 'cl' else 'server'} (to {b[0:6].hex(':')[-5:]}): {line}", flush=True)
    if not out and not quiet:
        print("  -> nothing comes out", flush=True)
    return out


def send(ns, p, wait=0.25, quiet=False):
    et = b"\x86\xdd" if p[0] >> 4 == 6 else b"\x08\x00"
    mac = DC + CMAC if ns == "cl" else DR + RMAC
    if not quiet:
        print(f"  {'client' if ns == 'cl' else 'server'} sends: {dissect(p)}", flush=True)
    PORTS[ns].send(mac + et + p)
    return collect(wait, quiet)


def client(p, **k):
    return send("cl", p, **k)


def server(p, **k):
    return send("rs", p, **k)


def conns():
    show("cat /proc/net/ip_vs_conn | tail -n +2; ipvsadm -Ln | grep -- '->' | tail -n +2")


def stats():
    # The kernel's shown statistics are those of the last estimation, up to 2 s ago.
    time.sleep(2.1)
    show("ipvsadm -Ln --stats --exact | tail -n +4")


def reset(*rules):
    """Flushes everything, connections too, and makes the given rules."""
    # net.ipv4.vs.* are the namespace's own; connections go with a module reload
    sh("ipvsadm -C; for m in $(lsmod | awk '/^ip_vs_/{print $1}'); do rmmod $m; done; rmmod ip_vs; modprobe ip_vs")
    for r in rules:
        sh("ipvsadm " + r)
    drain()


def afresh(*rules):
    """As reset, where connections keep the module from being removed: in another network namespace."""
    for ns in list(PORTS):
        PORTS.pop(ns).close()
        sh(f"ip netns del {ns}; ip link del {ns[0]}0", check=False)
    assert LIBC.unshare(0x40000000) == 0
    setup()
    for r in rules:
        sh("ipvsadm " + r)
    drain()
