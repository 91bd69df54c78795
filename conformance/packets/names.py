"""Names of hosts, as tables and recordings have them, and the addresses behind them.

Each scenario has addresses of its own, by its slot k: what an earlier one left behind (connections, servers in the trash) is
out of its sight, so that many run in one namespace.

    c1..c9 clients              10.1.k.1..       2001:db8:1:k::1..
    c0     the clients' network 10.1.k.0         2001:db8:1:k::
    r1     a router there       10.1.k.254       2001:db8:1:k::fe
    vip, vip2                   10.1.k.100, 101  2001:db8:1:k::100, 101
    d1     the director         10.1.0.1         2001:db8:1::1
    s1..s9 servers              10.2.k.11..      2001:db8:2:k::11..
    r2     a router there       10.2.k.254       2001:db8:2:k::fe
    d2     the director         10.2.0.1         2001:db8:2::1

A family of two digits is the family of the clients' side and then that of the servers' side: 46 has IPv4 clients of IPv6 servers.
"""
import re, socket

DIRECTOR = {"c": "02:00:00:00:01:00", "s": "02:00:00:00:02:00"}
HOSTS = [f"c{i}" for i in range(10)] + ["r1", "vip", "vip2", "d1"] + [f"s{i}" for i in range(1, 10)] + ["r2", "d2"]
# Not preceded or followed by what would make it part of another word, such as a scheduler's name.
WORD = re.compile(r"(?<![\w.:\[-])(vip2?|c\d|s[1-9]|[rd][12])(?![\w.-])")


def side(name):
    """The director's link that a host is on: of the clients or of the servers."""
    return "s" if name[0] == "s" or name in ("r2", "d2") else "c"


def hardware(name):
    """The hardware address of a host."""
    if name in ("vip", "vip2", "d1", "d2"):
        return DIRECTOR[side(name)]
    last = 0xfe if name[0] == "r" else 0x10 * (name[0] == "s") + int(name[1:])
    return DIRECTOR[side(name)][:-2] + f"{last:02x}"


HARDWARE = {hardware(name): name for name in HOSTS if name != "c0" and name[0] not in "vd"}


class Names:
    def __init__(self, slot, family):
        self.slot, self.family = slot, family
        self.addresses = {name: self._address(name) for name in HOSTS}
        self.names = {self._other(name): name for name in reversed(HOSTS)} | {address: name for name, address in self.addresses.items()}

    def _address(self, name, other=False):
        digit = self.family[0] if side(name) == "c" else self.family[-1]
        if other:
            digit = "64"[digit == "6"]
        net, slot = (1 if side(name) == "c" else 2), (0 if name[0] == "d" else self.slot)
        if digit == "4":
            last = {"v": 100 + (name == "vip2"), "r": 254, "d": 1, "c": 0, "s": 10}[name[0]] + (int(name[1:]) if name[0] in "cs" else 0)
            return f"10.{net}.{slot}.{last}"
        last = {"v": "101" if name == "vip2" else "100", "r": "fe", "d": "1", "c": name[1:], "s": "1" + name[1:]}[name[0]]
        text = f"2001:db8:{net}:{slot:x}::{last if last != '0' else ''}"
        return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text))

    def _other(self, name):
        return self._address(name, True)

    def __getitem__(self, name):
        return self.addresses[name]

    def name(self, address):
        """What an address is called; itself if it has no name."""
        return self.names.get(address, address)

    def command(self, text):
        """A command's words with addresses in place of names, in brackets before a port."""
        def put(match):
            address = self.addresses[match[1]]
            return f"[{address}]" if ":" in address else address
        return WORD.sub(put, text)

    def shown(self, text):
        """The reverse: a listing's words with names in place of addresses."""
        def put(match):
            return self.names.get(match[1] or match[2], match[0])
        return re.sub(r"\[([0-9a-f:]+)\]|(?<![\w.])(\d+\.\d+\.\d+\.\d+)(?![\w.])", put, text)
