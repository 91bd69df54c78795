"""Which bytes of a datagram the SIP persistence engine takes for its Call-ID: the forms of the header, its bytes, its length. In
5, Debian's ipvsadm crashes at the longest (it has room for some 200 bytes), so nothing is printed."""
from packets import *
setup()
v = V4
sh("modprobe ip_vs_pe_sip")
FIRST, REST = b"OPTIONS sip:a@b SIP/2.0\r\n", b"CSeq: 1 OPTIONS\r\n\r\n"


def dump(more=""):
    rows = open("/proc/net/ip_vs_conn", "rb").read() if os.path.exists("/proc/net/ip_vs_conn") and not os.environ.get("IPVSD_SOCKET") else subprocess.run("ipvsd show proc ip_vs_conn", shell=True, capture_output=True).stdout
    return sorted(row.split(b" ")[1] + b" " + row[row.find(b"sip"):] if b" sip " in row else row.split(b" ")[1] + b" by client" for row in rows.split(b"\n") if b" 0000 " in row)


def ask(names, wait=.02):
    """Each message from an address of its own; then which templates there are."""
    afresh(f"-A -u {v}:5060 -s rr -p 300 --pe sip", f"-a -u {v}:5060 -r 10.0.2.11:5060 -g")
    for n, data in enumerate(names):
        client(udp(f"10.0.{3 + n // 250}.{n % 250 + 1}", 5060, v, 5060, data), quiet=True, wait=wait)
    found = {}
    for row in dump():
        where, what = row.split(b" ", 1)
        found[where] = what
    for n, data in enumerate(names):
        print(" ", data if len(data) < 120 else data[:40] + b"..." + str(len(data)).encode(), "->", found.get(b"%02X%02X%02X%02X" % (10, 0, 3 + n // 250, n % 250 + 1), b"none"), flush=True)


title("1 forms of the header")
F = lambda header: FIRST + header + REST
n = iter(range(1, 1000))
ask([F(h.replace(b"#", b"id%d" % next(n))) for h in (
    b"Call-ID: #@h\r\n", b"call-id: #@h\r\n", b"CALL-ID: #@h\r\n", b"cAlL-Id: #@h\r\n", b"i: #@h\r\n", b"I: #@h\r\n", b"i:#@h\r\n", b"Call-ID:#@h\r\n",
    b"Call-ID : #@h\r\n", b"Call-ID  \t : #@h\r\n", b"Call-ID:\t #@h\r\n", b"Call-ID:     #@h\r\n", b"i : #@h\r\n", b"i\t:\t#@h\r\n", b"Call-ID:\r\n #@h\r\n", b"Call-ID\r\n : #@h\r\n", b"Call-ID:\r\n\t#@h\r\n", b"Call-ID:\n #@h\r\n",
    b"Call-ID:\r #@h\r\n", b"Call-ID:  \r\n  \r\n #@h\r\n", b"Call-ID: #@h\n", b"Call-ID: #@h\r", b"Call-ID: #@h \r\n", b"Call-ID: #@h;x=1\r\n", b"Call-ID: #@h x\r\n", b"Call-ID: #@h\r\n more\r\n", b"Call-ID: #\r\n", b"Call-ID: #@\r\n", b"Call-ID: @#\r\n",
    b"Call-ID: #@h@k\r\n", b"Call-ID: #@@k\r\n", b"Call-ID: \r\n", b"Call-ID:\r\n", b"Call-ID\r\n", b"Call-ID #@h\r\n", b"Call-ID= #@h\r\n", b" Call-ID: #@h\r\n", b"\tCall-ID: #@h\r\n", b"X-Call-ID: #@h\r\n", b"Call-IDs: #@h\r\n", b"ii: #@h\r\n",
    b"Subject: x\r\n Call-ID: #@h\r\n", b"Subject: Call-ID: #@h\r\n", b"Call-ID: #@h\r\nCall-ID: second@h\r\n", b"i: #@h\r\nCall-ID: second2@h\r\n", b"Call-ID: \r\nCall-ID: #@h\r\n", b"Call-ID: ;\r\nCall-ID: #@h\r\n", b"Call-ID: ;\r\ni: #@h\r\n",
    b"Via: x\nCall-ID: #@h\r\n", b"Via: x\rCall-ID: #@h\r\n", b"\r\nCall-ID: #@h\r\n", b"Via: x\r\n\r\nCall-ID: #@h\r\n", b"Call-ID: [::1]#\r\n", b"Call-ID: \"#\"@h\r\n", b"Call-ID: <#@h>\r\n", b"Call-ID: :#\r\n", b"Call-ID:: #\r\n", b"Call-ID: a#\x00b@h\r\n", b"Via: \x00\r\nCall-ID: #@h\r\n")])
title("2 places of the header, ends of the message")
ask([b"Call-ID: p1@h\r\n\r\n", b"\r\nCall-ID: p2@h\r\n\r\n", b"\r\n\r\nCall-ID: p3@h\r\n\r\n", FIRST + b"Call-ID: p4@h", FIRST + b"Call-ID: p5@h\r", FIRST + b"Call-ID: p6@h\r\n", FIRST + b"i: p7", FIRST + b"i:8", FIRST + b"i:", FIRST + b"i", FIRST + b"Call-ID: p9@",
     b"SIP/2.0 100 Trying\r\nCall-ID: pa@h\r\n\r\n", b"SIP/2.0 200 OK\r\nVia: x\r\nCall-ID: pb@h\r\n\r\n", b"\nCall-ID: pc@h\r\n\r\n", b"x\nCall-ID: pd@h\r\n\r\n", b"x Call-ID: pe@h\r\n\r\n", b"x\r\nCall-ID: pf@h", b"\r\ni:g", b"\r\ni:ph", b"\ni:pi\n", b"\x00\x00\x00\r\nCall-ID: pj@h\r\n", b"OPTIONS\r\nCall-ID: pk@h\r\n", b"\x80\x81\r\nCall-ID: pl@h\r\n"])
title("3 bytes")
ask([FIRST + b"Call-ID: n%d-" % b + bytes([b]) + b"y\r\n" + REST for b in range(256)])
title("3b bytes behind the @")
ask([FIRST + b"Call-ID: n%d@-" % b + bytes([b]) + b"y\r\n" + REST for b in range(256) if not (48 <= b < 58 or 65 <= b < 91 or 97 <= b < 123)])
title("3c the first byte")
ask([FIRST + b"Call-ID: " + bytes([b]) + b"n%d\r\n" % b + REST for b in range(256) if not (48 <= b < 58 or 65 <= b < 91 or 97 <= b < 123)])
title("4 length")
ask([FIRST + b"Call-ID: " + (b"%d-" % n).ljust(n, b"x") + b"\r\n" + REST for n in (1, 2, 3, 31, 32, 63, 64, 127, 128, 200, 253, 254, 255, 256, 257, 300, 1000)])
title("4b several of great length")
ask([FIRST + b"Call-ID: " + b"y" * 300 + b"\r\nCall-ID: second@h\r\n" + REST])
title("5 listings of long and odd ones")
afresh(f"-A -u {v}:5060 -s rr -p 300 --pe sip", f"-a -u {v}:5060 -r 10.0.2.11:5060 -g")
for call in (b"x" * 255, b"%s%d%n", b"a@h"): client(udp(C4, 5060 + len(call), v, 5060, FIRST + b"Call-ID: " + call + b"\r\n" + REST), quiet=True)
show("sort /proc/net/ip_vs_conn; ipvsadm -Lnc --persistent-conn; ipvsadm -Lc --persistent-conn; cat /proc/net/ip_vs_conn_sync")
title("6 several datagrams of one call whose Call-IDs differ in case")
ask([F(b"Call-ID: Same@H\r\n"), F(b"Call-ID: same@h\r\n"), F(b"i: same@h\r\n"), F(b"Call-ID: SAME@H\r\n")])
title("7 more of folding and of what stands behind")
ask([F(h.replace(b"#", b"id%d" % next(n))) for h in (
    b"Call-ID: \r\n#\r\n", b"Call-ID\r\n: #\r\n", b"Call-ID:\r\n\r\n #\r\n", b"Call-ID:\n\n #\r\n", b"Call-ID:\n\r #\r\n", b"Call-ID:\r\r #\r\n", b"Call-ID\r\n\r\n: #\r\n", b"Call-ID:#@h \r\nCall-ID: next@h\r\n", b"Call-ID:#@ \r\nCall-ID: #@h\r\n", b"Call-ID #@h\r\nCall-ID: #@k\r\n",
    b"Call-ID: #@h;x\r\nCall-ID: #@k\r\n", b"Call-ID: #@\r\nCall-ID: #@k\r\n", b"Call-ID: @#\r\nCall-ID: #@k\r\n", b"Call-ID: #@h@h\r\nCall-ID: #@k\r\n", b"Call-ID: \t\r\n\t#\r\n", b"Call-ID: \r\n #\n", b"i\r\n:\r\n#\r\n", b"i\r\n\r\n:#\r\n", b"Call-ID\n :#\r\n", b"Call-ID\r :#\r\n",
    b"Call-ID \r\n \r\n :#\r\n", b"Call-ID:\r\n  \t #\r\n", b"Call-ID:\x0b#\r\n", b"Call-ID:\x0c#\r\n", b"Call-ID\x0b:#\r\n", b"Call-ID\x0c:#\r\n", b"Call-ID\xa0:#\r\n", b"Call-ID\x00:#\r\n", b"Call-IDx\r\nCall-ID:#\r\n", b"ix: a\r\nCall-ID:#\r\n", b"i-: a\r\ni:#\r\n", b"i;: a\r\ni:#\r\n", b"i\r\ni:#\r\n", b"i :\r\ni:#\r\n", b"Call-ID:\r\n\r\n\r\ni:#\r\n", b"i:\xff\r\ni:#\r\n",
    b"Call-ID: \r\n\tCall-ID: #\r\n", b"Call-ID: x\r\n\ti: #\r\n", b"Call-ID: \r\r\r\r#\r\n", b"Call-ID: #\xd7@h\r\ni: #w\r\n", b"Call-ID: #@[2001:db8::1]\r\n", b"Call-ID: #@h.example:5060\r\n", b"Call-ID: #@a/b?c\r\n", b"Subject:\r\nCall-ID: #\r\n", b"Subject:\r\n\r\n\r\nCall-ID: #\r\n", b"Subject\x00\nCall-ID: #\r\n")])
ask([b"\ni:a\n", b"\ni:\n", b"\ni:a\r", b"x\ri:b\r", b"\ni:\nc\n", b"\ni:\n d\n", b"\ni:\n e", b"\r\ni\n:f\n", b"\n", b"i", b"\ni", b"\ni:", b"\ni:g\x00", b"\n\n\n\n\n\ni:h\n", b"\nCall-ID", b"\nCall-I", b"\nCall-ID:", b"\nCall-ID: ", b"\nCall-ID:\r", b"\nCall-ID:\r\n", b"\nCall-ID:\r\n ", b"\nCall-ID:k\r"])
title("8 what ends a line; where the search goes on")
ask([b"\n\ni:a\n", b"\n\n\ni:b\n", b"\r\ri:c\n", b"\n\ri:d\n", b"\n\r\ni:e\n", b"\r\n\ni:f\n", b"\r\n\n\ni:g\n", b"\r\r\ni:h\n", b"\r\r\r\ni:i\n", b"\ni: \n \ni:j\n", b"\ni: \r\n \r\ni:k\n", b"\ni: \n ;\ni:l\n", b"\ni\xe9: x\ni:m\n", b"\ni\xd7: x\ni:n\n", b"\ni1: x\ni:o\n", b"\niCall-ID: x\ni:p\n",
     b"\nCall-I\ni:q\n", b"\ni:;\ni:r\n", b"\ni:\r\n ;\r\ni:s\n", b"\ni:\n;\ni:t\n", b"\ni: ;\rx\ni:u\n", b"\ni:v@\ni:w\n", b"\ni:v@\n\ni:x\n", b"\ni:v@;\ni:y\n", b"\ni:" + b"z" * 256 + b"@\ni:z\n", b"\ni:" + b"z" * 251 + b"@yyy\n", b"\ni:" + b"z" * 252 + b"@yyy\n"])
title("9 a UDP length that ends before, and padding behind the datagram")
D = FIRST + b"Call-ID: short@h\r\n" + REST
S = udp_seg("10.0.9.1", 5060, v, 5060, D)
afresh(f"-A -u {v}:5060 -s rr -p 300 --pe sip", f"-a -u {v}:5060 -r 10.0.2.11:5060 -g")
for n, length in enumerate((8, 8 + len(FIRST), 8 + len(FIRST) + 12)):
    h = S[:4] + struct.pack("!HH", length, 0) + S[8:]
    client(ip(f"10.0.9.{n + 1}", v, 17, h))
client(ip("10.0.9.4", v, 17, S) + b"\r\nCall-ID: padding@h\r\n")
client(ip("10.0.9.5", v, 17, udp_seg("10.0.9.5", 5060, v, 5060, FIRST)) + b"\r\nCall-ID: padding@h\r\n")
print(dump())
