#!/usr/bin/env python3
"""Writes the first inputs of the targets, those of codecs from the recordings of ../conformance/recordings/raw, to corpus/TARGET/:
some twenty requests in a row each. `cargo fuzz cmin` makes the committed corpus of them and of what was found."""
import os, struct
here = os.path.dirname(os.path.abspath(__file__))
recordings = os.path.join(here, "../conformance/recordings/raw")

def piece(data): return struct.pack("<H", len(data)) + data

def unsqueeze(text):
    if text in ("-", "null"): return b""
    out = b""
    for part in text.removeprefix("ro:").split("."):
        byte, star, count = part.partition("*")
        out += bytes.fromhex(byte) * int(count) if star else bytes.fromhex(part)
    return out

def netlink():
    name = ""
    for line in open(os.path.join(recordings, "netlink.txt")):
        if line.startswith("# "): name = line[2:]
        if line.startswith("> ") and len(line) < 10000: yield piece(bytes([name.startswith("user: ")]) + bytes.fromhex(line[2:]))

def sockopt():
    for line in open(os.path.join(recordings, "sockopt.txt")):
        words = line.split()
        if words[0] not in ("get", "set"): continue
        data, length, number = unsqueeze(words[3]), int(words[2]), int(words[1]) - 1152
        mode = (words[0] == "get") | (2 if length != len(data) else 0)
        if 0 <= number < 24: yield piece(struct.pack("<BBi", mode, number, length) + data)

for target, source in (("genetlink_session", netlink), ("sockopt", sockopt)):
    folder = os.path.join(here, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    pieces = list(source())
    for at in range(0, len(pieces), 20):
        with open(os.path.join(folder, f"seed-{at:04}"), "wb") as out: out.write(b"".join(pieces[at:at + 20]))

# Messages of both directions: header forms that the kernel takes and refuses.
folder = os.path.join(here, "corpus/sip")
os.makedirs(folder, exist_ok=True)
headers = (b"Call-ID: a@h\r\n", b"i:a\n", b"Call-ID \r\n :\r\n a@h\r", b"Call-ID: ;\r\ni: b@h\r\n", b"i: c@\r\ni: d\r\n", b"\r\nVia: x\r\nI\t:" + b"x" * 256 + b"\r\n")
with open(os.path.join(folder, "seed"), "wb") as out:
    for number, header in enumerate(headers): out.write(piece(bytes([number]) + b"BYE sip:a@b SIP/2.0\r\n" + header + b"\r\n"))

# Full NAT: packets of clients and servers of every service, and errors about them, undamaged, each treated in turn.
folder = os.path.join(here, "corpus/full_nat")
os.makedirs(folder, exist_ok=True)
for kind in (1, 2, 3):
    for treatment in (0x00, 0x13, 0x17, 0x2b, 0x5b, 0x77, 0xf3):
        with open(os.path.join(folder, f"seed-{kind}-{treatment:02x}"), "wb") as out:
            out.write(b"".join(piece(bytes([service << 2 | kind, treatment, 151 if service & 1 else 0])) for service in range(12)))
