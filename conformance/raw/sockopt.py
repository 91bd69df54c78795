#!/usr/bin/env python3
"""Records what a kernel's IPVS answers to setsockopt and getsockopt with hand-made bytes.

Run as root with ip_vs loaded, after setup.sh:  python3 sockopt.py > sockopt.txt
Per call:
    # name                           ("user: ...": without capabilities; "socket: ...": an unusual socket or pointer)
    set NUMBER LENGTH HEX            the option, optlen, and the caller's buffer; or
    get NUMBER LENGTH HEX
    = ERRNO [LENGTH]                 "ok" or the errno's name; of a get the new optlen
    < HEX                            of a get: the buffer afterwards, if it changed
The buffer's last byte is the last of a mapped page: reading or writing beyond it is EFAULT. A buffer that is "null" is
a null pointer, one that begins with "ro:" cannot be written. Repeated bytes are written "xx*count".
Nothing printed differs from run to run: all IPv4 services that are listed together lie in one bucket of the kernel's
table, whose order is known.
"""
import ctypes, errno, mmap, os, re, socket, struct, sys, time

BASE, PAGE = 1152, mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.setsockopt.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32]
libc.getsockopt.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
READ, WRITE = 1, 2
SIZE = 16 * PAGE
area = libc.mmap(None, SIZE + PAGE, READ | WRITE, 0x22, -1, 0)
libc.mprotect(area + SIZE, PAGE, 0)
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

def squeezed(data):
    """Hex in which runs of eight and more are written as xx*count."""
    text = re.sub(rb"(.)\1{7,}", lambda m: b"", data, flags=re.S)
    if text == data: return data.hex() or "-"
    out, at = [], 0
    for m in re.finditer(rb"(.)\1{7,}", data, flags=re.S):
        if m.start() > at: out.append(data[at:m.start()].hex())
        out.append("%02x*%d" % (m.group(1)[0], len(m.group(0))))
        at = m.end()
    if at < len(data): out.append(data[at:].hex())
    return ".".join(out)

def outcome(result):
    return "ok" if result == 0 else errno.errorcode.get(ctypes.get_errno(), str(ctypes.get_errno()))

def call(name, kind, number, length, data, buffer="", on=None, level=0, pointer=True):
    on = on or sock
    at = area + SIZE - len(data)
    if data: ctypes.memmove(at, data, len(data))
    where = None if buffer == "null" else at
    if buffer == "ro": libc.mprotect(area, SIZE, READ)
    print("#", name)
    shown = "null" if buffer == "null" else ("ro:" if buffer == "ro" else "") + squeezed(data)
    print(kind, number, length, shown)
    if kind == "set":
        result = libc.setsockopt(on.fileno(), level, number, where, length & 0xffffffff)
        print("=", outcome(result))
    else:
        size = ctypes.c_int32(length)
        result = libc.getsockopt(on.fileno(), level, number, where, ctypes.byref(size) if pointer else None)
        print("=", outcome(result), size.value)
        after = ctypes.string_at(at, len(data)) if data else b""
        if after != data: print("<", squeezed(after))
    if buffer == "ro": libc.mprotect(area, SIZE, READ | WRITE)
    sys.stdout.flush()

def sset(name, number, data, length=None, **kw): call(name, "set", number, len(data) if length is None else length, data, **kw)
def sget(name, number, data, length=None, **kw): call(name, "get", number, len(data) if length is None else length, data, **kw)

VERSION, INFO, SERVICES, SERVICE, DESTS, DEST, TIMEOUT, DAEMON = range(1152, 1160)
(NONE, INSERT, ADD, EDIT, DEL, FLUSH, LIST, ADDDEST, DELDEST, EDITDEST, SET_TIMEOUT, STARTDAEMON, STOPDAEMON, RESTORE,
 SAVE, ZERO) = range(1152, 1168)
SET_LENGTH = {ADD: 44, EDIT: 44, DEL: 44, ZERO: 44, ADDDEST: 68, DELDEST: 68, EDITDEST: 68, SET_TIMEOUT: 12, STARTDAEMON: 24, STOPDAEMON: 24}
GET_LENGTH = {VERSION: 64, INFO: 12, SERVICES: 8, SERVICE: 104, DESTS: 24, TIMEOUT: 12, DAEMON: 48}

def svc(addr="10.0.0.1", port=80, proto=6, mark=0, sched=b"rr", flags=0, timeout=0, mask=0xffffffff, pad=0):
    return (struct.pack("=HH", proto, pad) + socket.inet_aton(addr) + struct.pack(">H", port) + struct.pack("=HI", pad, mark)
            + struct.pack("=16sII", sched, flags, timeout) + struct.pack(">I", mask))
def dst(addr="10.0.0.2", port=80, flags=0, weight=1, upper=0, lower=0, pad=0):
    return socket.inet_aton(addr) + struct.pack(">H", port) + struct.pack("=HIiII", pad, flags, weight, upper, lower)
def daemon(state, name=b"ve0", syncid=0): return struct.pack("=I16si", state, name, syncid)
def timeouts(*seconds): return struct.pack("=iii", *seconds)

fill = b"\xcc"
def get_service(name, data): sget(name, SERVICE, data[:44] + fill * (104 - len(data[:44])))
def services(name, count, room=None, **kw): sget(name, SERVICES, struct.pack("=II", count, 0xdddddddd) + fill * (104 * (count if room is None else room)), **kw)
def dests(name, service, count, room=None, **kw):
    head = service[:10] + b"\xdd\xdd" + service[12:16] + struct.pack("=II", count, 0xdddddddd)
    sget(name, DESTS, head + fill * (96 * (count if room is None else room)), **kw)
def all_dests(name, *args, count=8): dests(name, svc(*args), count)
def get_timeouts(name="timeouts"): sget(name, TIMEOUT, fill * 12)
def get_daemons(name="daemons"): sget(name, DAEMON, fill * 48)
def get_info(name="info"): sget(name, INFO, fill * 12)

# -- every number, every kind of length
for number in range(1151, 1169):
    right = SET_LENGTH.get(number, 0)
    for length in sorted({0, 1, max(right - 1, 0), right, right + 1, 44}):
        sset(f"set {number} with {length} zeros", number, b"\0" * length)
    for length in (-1, 0x7fffffff, -0x80000000):
        sset(f"set {number} length {length}", number, b"\0" * right, length)
for number in range(1151, 1161):
    least = GET_LENGTH.get(number, 0)
    for length in sorted({0, 1, max(least - 1, 0), least, least + 1, least + 100}):
        sget(f"get {number} with {length} bytes", number, b"\0" * length)
    for length in (-1, 0x7fffffff, -0x80000000):
        sget(f"get {number} length {length}", number, b"\0" * (least + 100), length)

# -- bad pointers
for number, length in sorted(SET_LENGTH.items()):
    sset(f"set {number} from null", number, b"", length, buffer="null")
    sset(f"set {number} from a buffer that is one byte short", number, b"\0" * (length - 1), length)
sset("flush from null", FLUSH, b"", 0, buffer="null")
for number, length in sorted(GET_LENGTH.items()):
    sget(f"get {number} into null", number, b"", length, buffer="null")
    sget(f"get {number} into a buffer that is one byte short", number, b"\0" * (length - 1), length)
    sget(f"get {number} into a buffer that cannot be written", number, b"\0" * length, length, buffer="ro")
sget("get 1157 into null", DEST, b"", 24, buffer="null")
sget("version into 44 bytes of a longer buffer", VERSION, b"\0" * 44, 64)

# -- services
get_info("info without services")
services("services, none there", 0)
services("services, none there, room for two", 2)
sget("services, junk count", SERVICES, b"\xff" * 8)
services("services, count 2 in the room of 1", 2, 1)
services("services, count 1 in the room of 2", 1, 2)
services("services, count whose size wraps to that of 0", 0x20000000, 0)
services("services, count whose size wraps to that of 1", 0x20000001, 1)
sset("edit absent", EDIT, svc())
sset("delete absent", DEL, svc())
sset("zero absent", ZERO, svc())
get_service("service absent", svc())
sset("add", ADD, svc())
sset("add again", ADD, svc())
sset("add again with another scheduler", ADD, svc(sched=b"nosuch"))
sset("add with junk in the padding", ADD, svc(port=81, pad=0xeeee))
get_service("service", svc())
get_service("service, junk in the padding", svc(pad=0xeeee))
get_service("service, junk in the rest", svc()[:12] + b"\0\0\0\0" + b"\xbb" * 28)
sget("service into more than it needs", SERVICE, svc() + fill * 200)
get_service("service, wrong protocol", svc(proto=17))
get_service("service, protocol 0", svc(proto=0))
get_service("service, protocol 262", svc(proto=262))
get_info("info with two")
sset("delete the other", DEL, svc(port=81))
for proto in (0, 1, 17, 132, 99, 262, 0xffff):
    sset(f"add protocol {proto}", ADD, svc(port=82, proto=proto))
get_service("SCTP service", svc(port=82, proto=132))
sset("delete UDP", DEL, svc(port=82, proto=17))
sset("delete SCTP", DEL, svc(port=82, proto=132))
for proto in (0, 99):
    for name, number in (("edit", EDIT), ("delete", DEL), ("zero", ZERO)): sset(f"{name} protocol {proto}", number, svc(proto=proto))
    for name, number in (("add", ADDDEST), ("edit", EDITDEST), ("delete", DELDEST)): sset(f"{name} dest protocol {proto}", number, svc(proto=proto) + dst())
names = {"empty": b"", "unknown": b"nosuch", "none": b"none", "of 15": b"a" * 15, "without NUL": b"a" * 16, "not UTF-8": b"\xff\xfe",
         "with junk after the NUL": b"wlc\0\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee", "with a blank": b"rr "}
for name, scheduler in names.items(): sset(f"add, scheduler {name}", ADD, svc("10.0.1.1", sched=scheduler))
for name, scheduler in names.items(): sset(f"edit, scheduler {name}", EDIT, svc(sched=scheduler))
for name, scheduler in names.items(): sset(f"edit absent, scheduler {name}", EDIT, svc(port=99, sched=scheduler))
sset("add, scheduler without NUL and protocol 0", ADD, svc("10.0.1.1", proto=0, sched=b"a" * 16))
sset("delete, scheduler without NUL", DEL, svc("10.0.1.1", sched=b"a" * 16))
sset("zero, scheduler without NUL", ZERO, svc(sched=b"a" * 16))
get_service("service edited", svc())
for scheduler in (b"wlc", b"lc", b"wrr", b"sh", b"dh", b"mh", b"sed", b"nq", b"fo", b"ovf"):
    sset("edit to " + scheduler.decode(), EDIT, svc(sched=scheduler, flags=0xffffffff, timeout=360, mask=0xffffff00))
get_service("service with all flags", svc())
sset("edit back", EDIT, svc(sched=b"rr", flags=0, timeout=0xffffffff, mask=0))
get_service("service with flags taken back and a huge timeout", svc())
sset("edit to one-packet", EDIT, svc(sched=b"wlc", flags=4, timeout=9, mask=0xff0000ff))
get_service("service with one-packet", svc())
sset("add of any port, not persistent", ADD, svc(port=0))
get_service("service of any port", svc(port=0))
sset("add of address 0", ADD, svc("0.0.0.0"))
sset("add of address 0 and port 0", ADD, svc("0.0.0.0", 0))
get_service("service of address 0 and port 0", svc("0.0.0.0", 0))
sset("delete of address 0 and port 0", DEL, svc("0.0.0.0", 0))
sset("add of a multicast address", ADD, svc("224.0.0.1"))
sset("zero all", ZERO, svc("0.0.0.0", 0, proto=0, sched=b"a" * 16))
sset("zero all of zeros", ZERO, b"\0" * 44)
sset("zero address 0", ZERO, svc("0.0.0.0"))
sset("zero address 0 with mark", ZERO, svc("0.0.0.0", 0, mark=5))
sset("flush", FLUSH, b"")

# -- services by mark
mark = dict(addr="0.0.0.0", port=0)
sset("add mark of protocol 0", ADD, svc(mark=5, proto=0, **mark))
sset("add mark", ADD, svc(mark=5, **mark))
sset("add mark with UDP", ADD, svc(mark=5, proto=17, **mark))
sset("add mark of UDP", ADD, svc(mark=6, proto=17, **mark))
sset("add mark of SCTP with address and port", ADD, svc("10.0.0.9", 99, mark=0xffffff07, proto=132))
get_service("mark of SCTP", svc(mark=0xffffff07, proto=0, **mark))
get_service("mark of UDP, asked with TCP", svc(mark=6, **mark))
get_service("mark absent", svc(mark=8, **mark))
services("services by mark", 3)
for proto in (6, 17, 132, 0):
    for name, number in (("edit", EDIT), ("zero", ZERO)): sset(f"{name} mark of UDP with protocol {proto}", number, svc(mark=6, proto=proto, sched=b"wlc", **mark))
    sset(f"add dest to mark of UDP with protocol {proto}", ADDDEST, svc(mark=6, proto=proto, **mark) + dst(weight=proto))
    sset(f"edit dest of mark of UDP with protocol {proto}", EDITDEST, svc(mark=6, proto=proto, **mark) + dst(weight=proto + 1))
    dests(f"dests of mark of UDP with protocol {proto}", svc(mark=6, proto=proto, **mark), 1)
for proto in (6, 132, 0):
    sset(f"delete dest of mark of UDP with protocol {proto}", DELDEST, svc(mark=6, proto=proto, **mark) + dst())
    sset(f"delete mark of UDP with protocol {proto}", DEL, svc(mark=6, proto=proto, **mark))
sset("edit mark of SCTP with another address", EDIT, svc("10.0.0.8", 98, mark=0xffffff07, proto=132, sched=b"sh"))
get_service("mark of SCTP edited", svc(mark=0xffffff07, **mark))
sset("add dest to mark of SCTP", ADDDEST, svc(mark=0xffffff07, proto=132) + dst())
sset("delete mark of UDP", DEL, svc(mark=6, proto=17, **mark))
sset("add mark 6 again of TCP", ADD, svc(mark=6, **mark))
sset("add the dest that it had", ADDDEST, svc(mark=6, **mark) + dst(addr="224.0.0.2"))
dests("dests of mark 6", svc(mark=6, **mark), 1)
sset("flush marks", FLUSH, b"")

# -- destinations
sset("add dest, service absent", ADDDEST, svc() + dst())
sset("edit dest, service absent", EDITDEST, svc() + dst())
sset("delete dest, service absent", DELDEST, svc() + dst())
dests("dests, service absent", svc(), 0)
dests("dests, service absent, wrong length", svc(), 1, 0)
sset("add a service", ADD, svc())
dests("dests, none", svc(), 0)
dests("dests, none, room for two", svc(), 2)
dests("dests, count 2 in the room of 1", svc(), 2, 1)
dests("dests, count 1 in the room of 2", svc(), 1, 2)
dests("dests, junk count", svc(), 0xffffffff, 0)
dests("dests, count whose size wraps to that of 1", svc(), 0x08000001, 1)
sset("edit dest absent", EDITDEST, svc() + dst())
sset("delete dest absent", DELDEST, svc() + dst())
sset("add dest", ADDDEST, svc() + dst())
sset("add dest again", ADDDEST, svc() + dst())
sset("add dest again with a negative weight", ADDDEST, svc() + dst(weight=-1))
sset("add dest, scheduler without NUL", ADDDEST, svc(sched=b"a" * 16) + dst(port=81, flags=3, pad=0xeeee))
for flags in (1, 2, 3, 4, 5, 6, 7, 0x80, 0x100, 0x2000, 0x10000, 0x12003, 0xffffffff, 0xfffffff8):
    sset(f"add dest with flags {flags:#x}", ADDDEST, svc() + dst("10.0.0.3", port=flags & 0xffff or 9, flags=flags))
dests("dests with flags", svc(), 16)
dests("dests with flags, room for three", svc(), 3)
dests("dests with flags, room for more", svc(), 18)
get_service("service with dests", svc())
sset("edit dest of all flags to none", EDITDEST, svc() + dst("10.0.0.3", port=0xffff, flags=0, weight=7))
sset("edit dest of no flags to all", EDITDEST, svc() + dst(flags=0xffffffff, weight=0, upper=10, lower=5))
dests("dests edited", svc(), 16)
for name, fields in {"negative": dict(weight=-1), "least": dict(weight=-0x80000000), "greatest": dict(weight=0x7fffffff)}.items():
    sset(f"add dest, weight {name}", ADDDEST, svc() + dst("10.0.0.4", **fields))
    sset(f"edit dest, weight {name}", EDITDEST, svc() + dst(**fields))
for upper, lower in ((0, 1), (1, 2), (2, 2), (0x7fffffff, 1), (0x80000000, 1), (0xffffffff, 0xffffffff), (0xfffffffe, 0xffffffff)):
    sset(f"add dest, thresholds {upper:#x} {lower:#x}", ADDDEST, svc() + dst("10.0.0.5", port=(upper ^ lower) & 0xff, upper=upper, lower=lower))
    sset(f"edit dest, thresholds {upper:#x} {lower:#x}", EDITDEST, svc() + dst(upper=upper, lower=lower))
for address in ("0.0.0.0", "10.0.0.1", "127.0.0.1", "10.0.0.255", "224.0.0.1", "255.255.255.255", "192.0.2.1", "240.0.0.1", "0.0.0.1"):
    sset(f"add dest {address}", ADDDEST, svc() + dst(address))
sset("delete dest with junk", DELDEST, svc() + dst(flags=0xffffffff, weight=-1, upper=1, lower=2, pad=0xffff))
sset("delete dest again", DELDEST, svc() + dst())
dests("dests after all that", svc(), 24)
sset("delete the service", DEL, svc())
sset("add it again", ADD, svc())
dests("dests of the new one", svc(), 1)
sset("revive a dest", ADDDEST, svc() + dst())
dests("dests with the revived", svc(), 1)
sget("dests with a read-only buffer", DESTS, svc()[:10] + b"\0\0" + b"\0" * 4 + struct.pack("=II", 1, 0) + fill * 96, buffer="ro")
sset("add a service in the same bucket", ADD, svc("10.0.1.1"))
sset("and another", ADD, svc("10.0.2.1"))
sset("and a mark", ADD, svc(mark=3, **mark))
services("services, newest first", 4)
services("services, room for two", 2)
services("services, room for six", 6)
sget("services into two entries fewer than mapped", SERVICES, struct.pack("=II", 4, 0) + fill * (104 * 2), 8 + 104 * 4)
sget("services into half an entry fewer than mapped", SERVICES, struct.pack("=II", 4, 0) + fill * (104 * 2 + 52), 8 + 104 * 4)
get_info("info with four")
sset("flush again", FLUSH, b"")

# -- timeouts
get_timeouts()
for given in ((1, 2, 3), (0, 0, 0), (0, 5, 0), (-1, 1, 1), (1, -1, 1), (1, 1, -1), (0x7fffffff, 1, 1), (8589934, 8589934, 8589934), (8589935, 0, 0), (0, 8589935, 0), (0, 0, 8589935), (900, 120, 300)):
    sset(f"set timeouts {given}", SET_TIMEOUT, timeouts(*given))
    get_timeouts(f"timeouts after {given}")

# -- sync daemons
get_daemons("daemons, none")
for state in (0, 1, 2, 3, 0xffffffff):
    sset(f"start {state} without interface", STARTDAEMON, daemon(state, b""))
    sset(f"start {state}, interface without NUL", STARTDAEMON, daemon(state, b"a" * 16))
    sset(f"start {state}, interface of 15", STARTDAEMON, daemon(state, b"a" * 15))
    sset(f"start {state}, unknown interface", STARTDAEMON, daemon(state, b"nosuch"))
    sset(f"stop {state}, not running", STOPDAEMON, daemon(state, b"\xee" * 16, -1))
for state in (0, 3, 0xffffffff): sset(f"start {state}", STARTDAEMON, daemon(state))
sset("start, interface not UTF-8", STARTDAEMON, daemon(1, b"\xff\xfe"))
sset("start master", STARTDAEMON, daemon(1, b"ve0\0junk", 5))
get_daemons("daemons, master")
sset("start master again", STARTDAEMON, daemon(1, b"big", 6))
sset("start master again, unknown interface", STARTDAEMON, daemon(1, b"nosuch", 6))
sset("start backup", STARTDAEMON, daemon(2, b"big", 0x1234567))
get_daemons("daemons, both")
# A daemon whose thread has not begun yet is stopped with EINTR.
time.sleep(0.3)
sset("stop master", STOPDAEMON, daemon(1, b""))
get_daemons("daemons, backup")
sset("stop backup", STOPDAEMON, daemon(2, b"nosuch"))
sset("start master with a negative id", STARTDAEMON, daemon(1, b"big", -1))
get_daemons("daemons with a negative id")
sset("flush leaves daemons", FLUSH, b"")
get_daemons("daemons after flush")
time.sleep(0.3)
sset("stop master again", STOPDAEMON, daemon(1))
sset("stop master once more", STOPDAEMON, daemon(1))

# -- unusual sockets and pointers: what comes before IPVS
for name, family, kind in (("UDP", socket.AF_INET, socket.SOCK_DGRAM), ("TCP", socket.AF_INET, socket.SOCK_STREAM),
                           ("IPv6 UDP", socket.AF_INET6, socket.SOCK_DGRAM), ("IPv6 TCP", socket.AF_INET6, socket.SOCK_STREAM),
                           ("Unix", socket.AF_UNIX, socket.SOCK_DGRAM), ("netlink", socket.AF_NETLINK, socket.SOCK_RAW)):
    with socket.socket(family, kind) as other:
        sget(f"socket: info on {name}", INFO, fill * 12, on=other)
        sset(f"socket: flush on {name}", FLUSH, b"", on=other)
        sset(f"socket: flush with a length on {name}", FLUSH, b"\0", on=other)
for level in (1, 6, 17, 41, 255):
    sget(f"socket: info at level {level}", INFO, fill * 12, level=level)
    sset(f"socket: flush at level {level}", FLUSH, b"", level=level)
sget("socket: info with a null length pointer", INFO, fill * 12, pointer=False)
sget("socket: unknown with a null length pointer", 1160, fill * 12, pointer=False)

# -- a caller without capabilities
sset("add a service for the user", ADD, svc())
sys.stdout.flush()
if os.fork() == 0:
    os.setgid(65534); os.setuid(65534)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in range(1151, 1169):
        right = SET_LENGTH.get(number, 0)
        sset(f"user: set {number}", number, b"\0" * right)
        sset(f"user: set {number}, one byte more", number, b"\0" * (right + 1))
    for number in range(1151, 1161):
        least = GET_LENGTH.get(number, 0)
        sget(f"user: get {number}", number, b"\0" * least)
        sget(f"user: get {number}, no bytes", number, b"")
    sset("user: negative length", ADD, svc(), -1)
    sget("user: negative length of a get", INFO, fill * 12, -1)
    sset("user: null", ADD, b"", 44, buffer="null")
    sset("user: flush", FLUSH, b"")
    sys.stdout.flush()
    os._exit(0)
os.wait()
sset("flush at last", FLUSH, b"")
