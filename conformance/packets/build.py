"""Packets from words: `c1:4000 > vip:80 tcp S ttl=5 data=20`.

Words after the protocol:
    tcp FLAGS     of FSRPA in any order, or - for none; then seq= ack= win= data=BYTES opt=HEX
    udp           data=BYTES
    sctp CHUNKS   joined by commas, see CHUNKS; tag=
    icmp KIND     a name of KINDS, or TYPE/CODE; rest=WORD, mtu= for its low bits; data=BYTES, or what it quotes: `about` and the words
                  of a packet, of which quote=BYTES are kept
    proto N       data=BYTES of any other protocol
Of all: ttl= tos= sum=bad|zero id= df=0 flow= (without meaning for the other family) ipsum=bad ipopt=HEX (IPv4) ext=HEADERS (IPv6: hbh, dst, route) cut=BYTES (of what follows the IP header)
pad=BYTES (after the packet).
"""
import socket, struct

FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32}
CHUNKS = {"data": 0, "init": 1, "init-ack": 2, "sack": 3, "heartbeat": 4, "heartbeat-ack": 5, "abort": 6, "shutdown": 7, "shutdown-ack": 8, "error": 9, "cookie-echo": 10, "cookie-ack": 11,
          "ecne": 12, "shutdown-complete": 14, "auth": 15, "odd": 99}
KINDS = {"echo": ("8/0", "128/0"), "reply": ("0/0", "129/0"), "unreach-net": ("3/0", "1/0"), "unreach-host": ("3/1", "1/3"), "unreach-port": ("3/3", "1/4"), "unreach-proto": ("3/2", "4/1"),
         "admin": ("3/13", "1/1"), "too-big": ("3/4", "2/0"), "expired": ("11/0", "3/0"), "param": ("12/0", "4/0"), "redirect": ("5/1", "137/0")}
NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
IDENT, SEQ, ACK, WINDOW, TAG = 0x1234, 1000, 2000, 8192, 7

CRC = []
for i in range(256):
    for _ in range(8):
        i = i >> 1 ^ 0x82f63b78 if i & 1 else i >> 1
    CRC.append(i)


def crc(data):
    c = 0xffffffff
    for byte in data:
        c = CRC[(c ^ byte) & 255] ^ c >> 8
    return struct.pack("<I", c ^ 0xffffffff)


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def pseudo(source, target, protocol, length):
    """The pseudo header that TCP's, UDP's and ICMPv6's checksums begin with."""
    if len(source) == 4:
        return source + target + struct.pack("!BBH", 0, protocol, length)
    return source + target + struct.pack("!IHBB", length, 0, 0, protocol)


def payload(length):
    return bytes(ord("a") + i % 26 for i in range(length))


def put(segment, at, value):
    return segment[:at] + struct.pack("!H", value) + segment[at + 2:]


def packet(words, names, quote=b""):
    """The packet that these words describe, and the name of its sender; `quote` is what an ICMP error quotes if no words say so."""
    words, quoted = (words[:words.index("about")], words[words.index("about") + 1:]) if "about" in words else (words, None)
    if len(words) < 4 or words[1] != ">":
        raise ValueError("a packet is `FROM > TO PROTOCOL …`: " + " ".join(words))
    (source, sport), (target, dport) = end(words[0], names), end(words[2], names)
    protocol, kind = words[3], [word for word in words[4:] if "=" not in word]
    options = dict(word.split("=", 1) for word in words[4:] if "=" in word)
    take = lambda key, default=0: int(options.pop(key, str(default)), 0)
    mark = options.pop("sum", None)
    a, b = packed(source), packed(target)
    data = quote or payload(take("data"))
    if protocol == "tcp":
        flags = sum(FLAGS[letter] for letter in kind[0] if letter != "-")
        extra = bytes.fromhex(options.pop("opt", ""))
        segment = struct.pack("!HHIIBBHHH", sport, dport, take("seq", SEQ), take("ack", ACK if flags & 16 else 0), (20 + len(extra)) << 2, flags, take("win", WINDOW), 0, 0) + extra + data
        at, number = 16, 6
    elif protocol == "udp":
        segment = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
        at, number = 6, 17
    elif protocol == "sctp":
        body = b"".join(struct.pack("!BBHI", CHUNKS[chunk], 0, 8, 0x01010101) for chunk in (kind[0].split(",") if kind else []))
        segment = struct.pack("!HHII", sport, dport, take("tag", TAG), 0) + body
        segment = segment[:8] + (b"\1\2\3\4" if mark == "bad" else bytes(4) if mark == "zero" else crc(segment)) + body
        at, number, mark = None, 132, None
    elif protocol == "icmp":
        v6 = len(a) == 16
        name = KINDS[kind[0]][v6] if kind[0] in KINDS else kind[0]
        message, code = map(int, name.split("/"))
        rest = take("rest", 0x00070001 if kind[0] in ("echo", "reply") else 0) | take("mtu")
        keep = take("quote", -1)
        if quoted:
            inner, _ = packet(quoted, names)
            data = inner if keep < 0 else inner[:keep]
        segment = struct.pack("!BBHI", message, code, 0, rest) + data
        at, number = 2, 58 if v6 else 1
    elif protocol == "proto":
        segment, at, number = data, None, int(kind[0])
    else:
        raise ValueError("unknown protocol " + protocol)
    if at is not None:
        head = b"" if number == 1 else pseudo(a, b, number, len(segment))
        value = checksum(head + segment) or (0xffff if number == 17 else 0)
        if mark:
            value = 0 if mark == "zero" else value ^ 0x1111
        segment = put(segment, at, value)
    if "cut" in options:
        segment = segment[:take("cut")]
    whole = internet(a, b, number, segment, options, take) + bytes(take("pad"))
    if options:
        raise ValueError("unknown words " + " ".join(options))
    return whole, words[0].split(":")[0]


def end(word, names):
    name, _, port = word.partition(":")
    return names[name], int(port or 0)


def internet(a, b, number, segment, options, take):
    """The IP header, extension headers or options, and what follows."""
    ttl, tos = take("ttl", 64), take("tos")
    if len(a) == 16:
        take("df"), take("id")
        first, headers = number, b""
        for name in reversed(options.pop("ext", "").split(",")):
            if name:
                body = {"hbh": b"\1\4\0\0\0\0", "dst": b"\1\4\0\0\0\0", "route": b"\0\0\0\0\0\0"}[name]
                headers = struct.pack("!BB", first, 0) + body + headers
                first = {"hbh": 0, "dst": 60, "route": 43}[name]
        return struct.pack("!IHBB", 6 << 28 | tos << 20 | take("flow"), len(headers) + len(segment), first, ttl) + a + b + headers + segment
    take("flow")
    extra = bytes.fromhex(options.pop("ipopt", ""))
    header = struct.pack("!BBHHHBBH", 0x45 + len(extra) // 4, tos, 20 + len(extra) + len(segment), take("id", IDENT), 0x4000 if take("df", 1) else 0, ttl, number, 0) + a + b + extra
    return put(header, 10, checksum(header) ^ (0x5555 if options.pop("ipsum", None) else 0)) + segment
