"""Packets to words, every header byte of them. What a packet of build.py has unless told otherwise is left out, save the TTL.

Normalised, because it differs from run to run or is a known difference (docs/compatibility.md), here and nowhere else:
  - the identification of IPv4 packets without DF, and the flow label of IPv6 packets, that the director makes itself (errors, answers to
    echo, resets, outer packets of tunnels): told only if a packet sent in the scenario had the same;
  - the UDP source port of GUE; the identification of IPv6 fragments that the director makes, and in the first one of GUE the UDP checksum;
  - seconds to expiry, rounded up to the next of the usual timeouts;
  - checksums: right ones are left out, wrong ones told as the difference to the right one. Those of quoted packets are "kept" if a packet
    of the scenario had that value;
  - with the fast path, what pads a frame to the least of Ethernet: the XDP program leaves it there, and a card would put it there.
"""
import re, socket, struct
from build import ACK, CHUNKS, FLAGS, IDENT, SEQ, TAG, WINDOW, checksum, crc, payload, pseudo
from names import HARDWARE

GUE_PORT = 6080
LEAST_FRAME = 60
ERRORS = {1: (3, 4, 5, 11, 12), 58: range(1, 128)}


class Teller:
    """Tells the packets of one scenario."""

    def __init__(self, names, may_pad):
        self.may_pad, self.names, self.sums, self.given, self.sending = may_pad, names, set(), set(), False

    def frame(self, frame):
        """A frame that the director sent: to whom, and what."""
        to = frame[:6].hex(":")
        if self.may_pad and 34 <= len(frame) <= LEAST_FRAME:
            frame = frame[:14 + length(frame[14:])]
        return f"to {HARDWARE.get(to, to)}: {self.packet(frame[14:])}"

    def saw(self, packet):
        """Remembers checksums, identification and flow label of a packet that is sent to the director."""
        self.sending = True
        self.packet(packet)
        self.sending = False

    def packet(self, data, quoted=False):
        if len(data) < 20 or data[0] >> 4 not in (4, 6) or (data[0] >> 4 == 6 and len(data) < 40):
            return f"{len(data)} bytes that are no IP packet"
        return self.v4(data, quoted) if data[0] >> 4 == 4 else self.v6(data, quoted)

    def v4(self, data, quoted):
        length = (data[0] & 15) * 4
        tos, total, ident, fragment, ttl, number = data[1], *struct.unpack("!HHHBB", data[2:10])
        body, cut = data[length:total], len(data) < total
        words = []
        flags, offset = fragment >> 13, (fragment & 0x1fff) * 8
        if self.sending and not quoted:
            self.given.add(("id", ident))
        if ident != IDENT and (("id", ident) in self.given or flags & 2):
            words.append(f"id={ident:#x}")
        if not flags & 2:
            words.append("df=0")
        if flags & 5 or offset:
            words.append(f"fragment={flags & 5}/{offset}")
        if tos:
            words.append(f"tos={tos:#x}")
        if length > 20:
            words.append("ipopt=" + data[20:length].hex())
        wrong = off(checksum(data[:length]))
        if wrong:
            words.append(f"ipsum=off+{wrong:#x}")
        if len(data) > total:
            words.append("trailer=" + data[total:].hex())
        return self.line(data[12:16], data[16:20], number, body, ttl, words, cut, quoted)

    def v6(self, data, quoted):
        first, length, number, hops = struct.unpack("!IHBB", data[:8])
        body, cut = data[40:40 + length], len(data) < 40 + length
        words, ext = [], []
        while number in (0, 43, 60) and len(body) >= 8:
            ext.append({0: "hbh", 43: "route", 60: "dst"}[number] + "." + body[2:8 + body[1] * 8].hex())
            number, body = body[0], body[8 + body[1] * 8:]
        if number == 44 and len(body) >= 16:
            # The director's own fragments: a random identification; of GUE also a hashed port, and what follows from it.
            more = body[:4] + bytes(4)
            gue = body[0] == 17 and struct.unpack("!H", body[2:4])[0] >> 3 == 0
            body = more + (bytes(2) + body[10:14] + bytes(2) + body[16:] if gue else body[8:])
        if self.sending and not quoted:
            self.given.add(("flow", first & 0xfffff))
        if first & 0xfffff and ("flow", first & 0xfffff) in self.given:
            words.append(f"flow={first & 0xfffff:#x}")
        if first >> 20 & 255:
            words.append(f"tos={first >> 20 & 255:#x}")
        if ext:
            words.append("ext=" + ",".join(ext))
        if len(data) > 40 + length:
            words.append("trailer=" + data[40 + length:].hex())
        return self.line(data[8:24], data[24:40], number, body, hops, words, cut, quoted)

    @staticmethod
    def outer(number, body):
        return number in (4, 41, 47) or (number == 17 and len(body) >= 8 and struct.unpack("!H", body[2:4])[0] == GUE_PORT)

    def line(self, a, b, number, body, ttl, words, cut, quoted):
        ends, what = self.transport(a, b, number, body, cut, quoted)
        source, target = (self.names.name(socket.inet_ntop(socket.AF_INET if len(x) == 4 else socket.AF_INET6, x)) for x in (a, b))
        source, target = (f"{x}:{port}" if port is not None else x for x, port in zip((source, target), ends))
        what = what.split(" [", 1)
        return " ".join([source, ">", target, what[0], f"ttl={ttl}", *words]) + (" [" + what[1] if len(what) > 1 else "")

    def sum(self, value, right, cut, quoted):
        """How a checksum is told: nothing if it is right."""
        if quoted:
            if not cut and value == right:
                return []
            return [] if value in self.sums else ["sum=other"]
        self.sums.add(value)
        return [] if value == right else [f"sum=off+{(value - right) % 0xffff:#x}"]

    def transport(self, a, b, number, body, cut, quoted):
        """Ports, if it has any, and the words from the protocol on."""
        none = (None, None)
        if self.outer(number, body) and not quoted and len(body) >= 24:
            return self.tunnel(a, b, number, body)
        if number in (6, 17, 132) and len(body) < {6: 20, 17: 8, 132: 12}[number]:
            ports = struct.unpack("!HH", body[:4]) if len(body) >= 4 else none
            return ports, f"{ {6: 'tcp', 17: 'udp', 132: 'sctp'}[number]} first={body[4:].hex()}"
        if number == 6:
            sport, dport, seq, ack, offset, flags, window, value, urgent = struct.unpack("!HHIIBBHHH", body[:20])
            size = (offset >> 4) * 4
            words = ["tcp", "".join(letter for letter, bit in FLAGS.items() if flags & bit) or "-"]
            if flags & 0xc0 or offset & 15:
                words.append(f"bits={offset & 15:x}/{flags & 0xc0:x}")
            defaults = (("seq", seq, SEQ), ("ack", ack, ACK if flags & 16 else 0), ("win", window, WINDOW), ("urgent", urgent, 0))
            words += [f"{key}={given}" for key, given, usual in defaults if given != usual]
            if size > 20:
                words.append("opt=" + body[20:size].hex())
            words += content(body[size:])
            right = checksum(pseudo(a, b, 6, len(body)) + body[:16] + b"\0\0" + body[18:])
            return (sport, dport), " ".join(words + self.sum(value, right, cut, quoted))
        if number == 17:
            sport, dport, length, value = struct.unpack("!HHHH", body[:8])
            words = ["udp"] + ([f"length={length}"] if length != len(body) and not cut else []) + content(body[8:])
            right = checksum(pseudo(a, b, 17, len(body)) + body[:6] + b"\0\0" + body[8:]) or 0xffff
            return (sport, dport), " ".join(words + (["sum=zero"] if value == 0 else self.sum(value, right, cut, quoted)))
        if number == 132:
            sport, dport, tag = struct.unpack("!HHI", body[:8])
            names, rest, at = {value: name for name, value in CHUNKS.items()}, [], 12
            while len(body) >= at + 4:
                kind, flags, length = struct.unpack("!BBH", body[at:at + 4])
                usual = flags == 0 and body[at + 2:at + 8] == b"\0\10\1\1\1\1"
                rest.append(names.get(kind, str(kind)) + ("" if usual else f".{flags:x}." + body[at + 4:at + length].hex()))
                at += max(4, (length + 3) & ~3)
            words = ["sctp", ",".join(rest) or "-"] + ([f"tag={tag}"] if tag != TAG else []) + (["rest=" + body[at:].hex()] if at < len(body) else [])
            value, right = body[8:12], crc(body[:8] + bytes(4) + body[12:])
            if not quoted:
                self.sums.add(value)
            if value != right and not (quoted and value in self.sums):
                words.append("sum=" + ("zero" if value == bytes(4) else "given" if value == b"\1\2\3\4" else "wrong"))
            return (sport, dport), " ".join(words)
        if number in (1, 58) and len(body) >= 8:
            kind, code, value, rest = struct.unpack("!BBHI", body[:8])
            head = pseudo(a, b, 58, len(body)) if number == 58 else b""
            right = checksum(head + body[:2] + b"\0\0" + body[4:])
            words = [f"icmp {kind}/{code}", f"rest={rest:#x}"] + self.sum(value, right, cut, quoted)
            if kind in ERRORS[number] and len(body) > 8:
                return none, " ".join(words + [f"quote={len(body) - 8}", f"[{self.packet(body[8:], True)}]"])
            return none, " ".join(words + content(body[8:]))
        return none, " ".join([f"proto {number}"] + content(body))

    def tunnel(self, a, b, number, body):
        """IP in IP, GRE or GUE, and the packet inside."""
        if number in (4, 41):
            return (None, None), f"ipip [{self.packet(body)}]"
        if number == 47:
            flags, protocol = struct.unpack("!HH", body[:4])
            size = 4 + (4 if flags & 0x8000 else 0)
            wrong = flags & 0x8000 and off(checksum(body))
            return (None, None), f"gre flags={flags:#x} protocol={protocol:#x}" + (" sum=wrong" if wrong else "") + f" [{self.packet(body[size:])}]"
        _, dport, length, value = struct.unpack("!HHHH", body[:8])
        gue = body[8:12 + (body[8] & 31) * 4]
        right = checksum(pseudo(a, b, 17, len(body)) + body[:6] + b"\0\0" + body[8:]) or 0xffff
        told = " sum=zero" if value == 0 else "" if value == right else " sum=wrong"
        return ("*", dport), f"gue header={gue.hex()}" + ("" if length == len(body) else f" length={length}") + f"{told} [{self.packet(body[8 + len(gue):])}]"


def length(packet):
    """The length that an IP packet says that it has."""
    return struct.unpack("!H", packet[2:4])[0] if packet[0] >> 4 == 4 else 40 + struct.unpack("!H", packet[4:6])[0]


def off(value):
    """A checksum over what contains it: 0 if that is right."""
    return 0 if value in (0, 0xffff) else value


def content(data):
    """How much payload there is, and what, if it is not the usual."""
    if not data:
        return []
    return [f"data={len(data)}"] if data == payload(len(data)) else [f"data={len(data)}:" + (data.hex() if len(data) <= 64 else data[:32].hex() + "…")]


CONNECTION = re.compile(r"^(TCP|UDP|SCTP|IP|ICMP|\w+) +(\S+) ([0-9A-F]{4}) (\S+) ([0-9A-F]{4}) (\S+) ([0-9A-F]{4}) (\w+) +(\d+)(.*)$")


def connection(row, names):
    """A row of /proc/net/ip_vs_conn, `None` if its client is not of this scenario. Seconds to expiry are rounded, as
    scenarios take a moment."""
    match = CONNECTION.match(row)
    if not match:
        return None
    protocol, client, cport, virtual, vport, server, sport, state, seconds, rest = match.groups()
    client, virtual, server = (names.name(hex_address(address)) for address in (client, virtual, server))
    if not re.fullmatch(r"c\d|r\d|s\d|vip2?", client):
        return None
    ends = (f"{name}:{int(port, 16)}" for name, port in ((client, cport), (virtual, vport), (server, sport)))
    return " ".join([protocol, *ends, state, rounded(int(seconds)), *rest.split()])


def rounded(seconds):
    """Up to the next of the timeouts that occur, as a scenario may take a while on a slow machine (INIT's of SCTP is a moment over 60)."""
    return str(next((timeout for timeout in (5, 10, 30, 60, 100, 120, 300, 900) if seconds <= timeout + (timeout == 60)), seconds))


def hex_address(text):
    """An address as /proc/net/ip_vs_conn writes it."""
    digits = text.replace(":", "").strip("[]")
    data = bytes.fromhex(digits)
    return socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, data)
