"""SCTP: what starts a connection, the way of states, what is rewritten, refusals, ICMP errors, reuse of a closed association."""
from packets import *

TABLE = []
for i in range(256):
    c = i
    for _ in range(8):
        c = c >> 1 ^ 0x82f63b78 if c & 1 else c >> 1
    TABLE.append(c)


def crc(b):
    c = 0xffffffff
    for x in b:
        c = TABLE[(c ^ x) & 255] ^ c >> 8
    return struct.pack("<I", c ^ 0xffffffff)


CHUNKS = {"data": 0, "init": 1, "ia": 2, "sack": 3, "hb": 4, "hba": 5, "abort": 6, "s": 7, "sa": 8, "err": 9, "ce": 10, "ca": 11, "ecne": 12, "sc": 14, "auth": 15, "odd": 99}


def sctp(src, sport, dst, dport, *chunks, bad=False, tag=7, cut=None, size=4, **k):
    body = b""
    for c in chunks:
        n = 4 + size
        body += struct.pack("!BBH", CHUNKS[c], 0, n) + b"\1" * size
    h = struct.pack("!HHII", sport, dport, tag, 0) + body
    c = crc(h)
    h = h[:8] + (b"\1\2\3\4" if bad else c) + h[12:]
    return ip(src, dst, 132, h[:cut] if cut else h, **k)


def about(b):
    """Ports and CRC of an SCTP packet on the wire."""
    p = b[14:]
    o = 40 if p[0] >> 4 == 6 else (p[0] & 15) * 4
    if p[6 if o == 40 else 9] != 132:
        return ""
    q = p[o:]
    return f"SCTP {struct.unpack('!HH', q[:4])} chunks {[q[12]] if len(q) > 12 else []} crc {'ok' if crc(q[:8] + bytes(4) + q[12:]) == q[8:12] else 'BAD ' + q[8:12].hex()}"


def go(who, p):
    out = (client if who == "c" else server)(p, quiet=True)
    if not out:
        print("   nothing comes out")
    for ns, line, b in out:
        print("  ->", ns, line[:170], about(b))


def states():
    return " ".join(l.split()[7] + "/" + l.split()[8] for l in sh("cat /proc/net/ip_vs_conn | tail -n +2").splitlines() if l.startswith("SCTP"))
