"""without_genetlink.py COMMAND...: runs COMMAND where no process can make a generic netlink socket (x86-64).

Clients of IPVS ask generic netlink for the family IPVS first and fall back to socket options when that fails, at
whatever step: so they do here, on a kernel that has both.
"""
import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
SYS_SOCKET, AF_NETLINK, NETLINK_GENERIC = 41, 16, 16
# Offsets in struct seccomp_data: number, and the low halves of the arguments 0 and 2.
NUMBER, FAMILY, PROTOCOL = 0, 16, 32
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06


def unless(value, skip):
    return struct.pack("=HBBI", EQUAL, 0, skip, value)


def load(offset):
    return struct.pack("=HBBI", LOAD, 0, 0, offset)


def give(value):
    return struct.pack("=HBBI", RETURN, 0, 0, value)


assert platform.machine() == "x86_64", "the number of socket(2) is x86-64's"
program = [
    load(NUMBER), unless(SYS_SOCKET, 5),
    load(FAMILY), unless(AF_NETLINK, 3),
    load(PROTOCOL), unless(NETLINK_GENERIC, 1),
    give(ERRNO | errno.EPROTONOSUPPORT),
    give(ALLOW),
]
code = ctypes.create_string_buffer(b"".join(program))
header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0) != 0:
    sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
