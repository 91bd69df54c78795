"""Which of ten servers the hashing schedulers choose for 10 000 clients, over IPv4 and IPv6: one line each, a hexadecimal digit a client.
crates/core/tests/reference/hash_choices.txt is what this printed."""
from packets import *

setup()
sh("ip route add default via 10.0.1.254 dev c0; ip -6 route add default via 2001:db8:1::254 dev c0")
for i in range(11, 21):
    sh(f"ip neigh replace 10.0.2.{i} lladdr {RMAC[:5].hex(':')}:{i:x} dev r0 nud permanent; ip neigh replace 2001:db8:2::{i} lladdr {RMAC[:5].hex(':')}:{i:x} dev r0 nud permanent")
sh("sysctl -qw net.core.rmem_max=8000000")


def source(i, v6):
    """The address of client i: spread over a /8 or /32 by a multiplicative hash."""
    x = i * 2654435761 & 0xffffffff
    return f"2001:db9:{x >> 16:x}:{x & 0xffff:x}::{i:x}" if v6 else f"11.{x >> 24}.{x >> 16 & 255}.{x >> 8 & 255}"


def port(i):
    return 1024 + i % 60000


ONES, RAMP = [1] * 10, list(range(1, 11))
for v, v6 in ((V4, False), (V6, True)):
    for label, scheduler, weights, leave in (("mh", "mh", ONES, 0), ("mh", "mh", RAMP, 0), ("mh-port", "mh -b mh-port", ONES, 0), ("mh", "mh", ONES, 13), ("mh-fallback", "mh -b mh-fallback", ONES, -13),
                                       ("sh", "sh", ONES, 0), ("sh", "sh", RAMP, 0), ("sh-port", "sh -b sh-port", ONES, 0)):
        b = f"[{v}]" if v6 else v
        # Newest first in the kernel's list: added from the last to the first.
        rules = [f"-A -u {b}:53 -s {scheduler}"] + [f"-a -u {b}:53 -r {'[2001:db8:2::%d]' % (11 + n) if v6 else '10.0.2.%d' % (11 + n)}:53 -g -w {weights[n]}" for n in reversed(range(10))]
        reset(*rules)
        gone = f"[2001:db8:2::{abs(leave)}]" if v6 else f"10.0.2.{abs(leave)}"
        if leave > 0:
            sh(f"ipvsadm -d -u {b}:53 -r {gone}:53")
        if leave < 0:
            sh(f"ipvsadm -e -u {b}:53 -r {gone}:53 -g -w 0")
        chosen = {}
        for i in range(10000):
            p = udp(source(i, v6), port(i), v, 53, data=b"x")
            PORTS["cl"].send(DC + CMAC + (b"\x86\xdd" if v6 else b"\x08\x00") + p)
            if i % 500 == 499:
                time.sleep(0.05)
                drain()
        time.sleep(0.5)
        for line in open("/proc/net/ip_vs_conn") if not os.environ.get("IPVSD_SOCKET") else sh("ipvsd show proc ip_vs_conn").splitlines():
            w = line.split()
            if w[0] == "UDP":
                chosen[w[1].lower()] = w[5]
        digits = ""
        for i in range(10000):
            key = socket.inet_pton(10 if v6 else 2, source(i, v6)).hex()
            key = ":".join(key[n:n + 4] for n in range(0, 32, 4)) if v6 else key
            d = chosen.get(key)
            digits += "-" if d is None else "%x" % (int(d.split(":")[-1], 16) - 0x11 if v6 and ":" in d else int(d, 16) - 0x0a00020b)
        print("v6" if v6 else "v4", label, "ramp" if weights is RAMP else "ones", {0: "all", 13: "removed", -13: "quiesced"}[leave], digits, flush=True)
