"""The network of a table: three network namespaces, of which this process is in the director's; clients and servers are packet sockets.

    clients c0 ── eth0 [packet socket]      director      [packet socket] eth0 ── r0 servers

No host has a stack: the director's neighbours are permanent. What has come out is known without waiting by two services of one datagram
each, one forwarded to either side: datagrams to both follow each packet on its way, and what they overtake was dropped. Where TCP data have a
longer way of their own through the director (parking), TCP data into a tunnel with a checksum, which is never the program's, follow them on that, all of it.
"""
import ctypes, fcntl, os, select, socket, struct, subprocess, time
from build import packet as build
from names import DIRECTOR, WORD, hardware, side

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
SETTINGS = {"net/ipv4/ip_forward": 1, "net/ipv6/conf/all/forwarding": 1, "net/ipv6/conf/default/forwarding": 1, "net/ipv4/conf/all/rp_filter": 0, "net/ipv4/conf/default/rp_filter": 0,
            "net/ipv6/conf/default/accept_dad": 0, "net/ipv6/conf/all/accept_dad": 0, "net/ipv4/conf/all/send_redirects": 0, "net/ipv4/conf/default/send_redirects": 0,
            "net/ipv4/icmp_ratelimit": 0, "net/ipv6/icmp/ratelimit": 0, "net/ipv6/conf/default/router_solicitations": 0}
# Markers go to these services, then to these servers; see Network.settle.
MARKERS = {"c": ("10.1.0.90", "10.1.0.92"), "s": ("10.1.0.91", "10.2.0.92")}
MARK_PORT, MARK_HARDWARE = 9, "02:00:00:00:0f:00"
# The same for TCP data, by tunneling: a connection for each marker.
DATA_MARKER = ("10.1.0.93", "10.2.0.93")
PATIENCE = 15
GRE = 47
# ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGRO
TRANSMIT_CHECKSUM, SEGMENTATION, GRO = 0x17, 0x1f, 0x2c


class Stalled(Exception):
    """A marker did not come back."""


def namespace():
    """Moves this process to a new network namespace; a descriptor of it."""
    if LIBC.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    return os.open("/proc/self/ns/net", os.O_RDONLY)


def enter(descriptor):
    if LIBC.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def write(path, value):
    try:
        with open("/proc/sys/" + path, "w") as file:
            file.write(str(value))
    except FileNotFoundError:
        pass


def ip(lines):
    result = subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", capture_output=True, text=True)
    if result.returncode or result.stderr:
        raise SystemExit("ip: " + result.stderr)


class Network:
    def __init__(self, mtu, sends_frames, parks):
        self.parks = parks
        self.spaces = {"c": namespace(), "s": namespace(), "d": namespace()}
        for path, value in SETTINGS.items():
            write(path, value)
        lines = ["link set lo up"]
        for key, device in (("c", "c0"), ("s", "r0")):
            lines += [f"link add {device} address {DIRECTOR[key]} type veth peer name eth0 netns /proc/{os.getpid()}/fd/{self.spaces[key]}", f"link set {device} mtu {mtu.get(key, 1500)} up"]
        lines += ["addr add 10.1.0.1/16 dev c0", "addr add 10.2.0.1/16 dev r0", "addr add 2001:db8:1::1/48 dev c0 nodad", "addr add 2001:db8:2::1/48 dev r0 nodad"]
        lines += [f"addr add {service}/32 dev c0" for service, _ in MARKERS.values()]
        lines += [f"neigh replace {server} lladdr {MARK_HARDWARE} dev {'c0' if key == 'c' else 'r0'} nud permanent" for key, (_, server) in MARKERS.items()]
        if parks:
            lines += [f"addr add {DATA_MARKER[0]}/32 dev c0", f"neigh replace {DATA_MARKER[1]} lladdr {MARK_HARDWARE} dev r0 nud permanent"]
        ip(lines)
        self.sockets = {}
        for key in "cs":
            enter(self.spaces[key])
            write("net/ipv6/conf/all/disable_ipv6", 1)
            ip(["link set eth0 up"])
            if sends_frames:
                like_a_wire("eth0")
            port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            port.bind(("eth0", 3))
            self.sockets[key] = port
        enter(self.spaces["d"])
        for device in ("c0", "r0"):
            whole(device)
        self.count = 0

    def close(self):
        """Leaves the namespaces to the end of this process: the kernel's IPVS keeps servers that were removed for two minutes, and with their
        routes the devices, and until those are free no namespace can be made, nor a scheduler's module be loaded."""
        for port in self.sockets.values():
            port.close()

    def welcome(self, scenarios):
        """Addresses and neighbours of scenarios: each a pair of names and the set of those used."""
        lines = []
        for names, used in scenarios:
            for name in sorted(used):
                device = "c0" if side(name) == "c" else "r0"
                if name in ("vip", "vip2"):
                    lines.append(f"addr add {names[name]}/{'128 dev c0 nodad' if ':' in names[name] else '32 dev c0'}")
                elif name not in ("d1", "d2", "c0"):
                    lines.append(f"neigh replace {names[name]} lladdr {hardware(name)} dev {device} nud permanent")
        ip(lines)

    def send(self, key, packet):
        kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\0"
        source = {"c": "02:00:00:00:01:01", "s": "02:00:00:00:02:11"}[key]
        self.sockets[key].send(bytes.fromhex((DIRECTOR[key] + source).replace(":", "")) + kind + packet)

    def settle(self, key):
        """What has come out of the director since the last time, to the servers' side first, once all that was sent from the side `key`
        must be through: when markers sent after it have come out on both sides. A second pair is sent, for packets that the
        daemon gave to the host's stack, which do not keep their place among the markers."""
        frames = {"s": [], "c": []}
        for _ in range(2):
            self.count += 1
            source = "10.1.0.9" if key == "c" else "10.2.0.9"
            for service, _ in MARKERS.values():
                words = ["x:9", ">", f"y:{MARK_PORT}", "udp", "data=4", f"id={self.count & 0xffff}"]
                packet, _ = build(words, {"x": source, "y": service})
                self.send(key, packet)
            missing, end, again = {"c", "s"}, time.monotonic() + PATIENCE, None
            if self.parks:
                missing.add("data")
                again = self.mark_data(key, source)
            while missing:
                until = min(end, again or end)
                ready = select.select(list(self.sockets.values()), [], [], max(0, until - time.monotonic()))[0]
                if not ready and time.monotonic() >= end:
                    raise Stalled(f"no marker came out on the side of {missing}")
                if again and "data" in missing and time.monotonic() >= again:
                    again = self.mark_data(key, source)
                for out, port in self.sockets.items():
                    while select.select([port], [], [], 0)[0]:
                        frame, about = port.recvfrom(65535)
                        if about[2] == socket.PACKET_OUTGOING or noise(frame):
                            continue
                        if frame[:6].hex(":") == MARK_HARDWARE:
                            if frame[23] == GRE:
                                if data_marker(frame[42:]) == self.count & 0xffff:
                                    missing.discard("data")
                            elif struct.unpack("!H", frame[18:20])[0] == self.count & 0xffff:
                                missing.discard(out)
                            continue
                        frames[out].append(frame)
        return frames["s"] + frames["c"]


    def mark_data(self, key, source):
        """Sends a connection's first segment and data, the latter as the marker; when to do so again, for data that come before their
        connection is known are dropped."""
        for flags, data in (("S", 0), ("A", 4)):
            words = [f"x:{1024 + self.count % 60000}", ">", f"y:{MARK_PORT}", "tcp", flags, f"data={data}", f"id={self.count & 0xffff}"]
            packet, _ = build(words, {"x": source, "y": DATA_MARKER[0]})
            self.send(key, packet)
        return time.monotonic() + 0.2


def data_marker(inner):
    """The number of a marker of TCP data, as it comes out of the tunnel; None for the segment that begins its connection."""
    length, number = struct.unpack("!HH", inner[2:6])
    return number if length > 40 else None


def whole(device):
    """Turns off transmit checksums and segmentation of a device, so that packets of the host's stack are whole on the wire."""
    for command in (TRANSMIT_CHECKSUM, SEGMENTATION, GRO):
        ethtool(device, command, 0)


def like_a_wire(device):
    """Makes the end of a virtual cable take what an XDP program sends to it (GRO), and send complete checksums."""
    ethtool(device, GRO, 1)
    ethtool(device, TRANSMIT_CHECKSUM, 0)


def ethtool(device, command, value):
    """Sets an offload, if the device has it."""
    with socket.socket() as control:
        value = ctypes.create_string_buffer(struct.pack("II", command, value))
        request = struct.pack("16sP16x", device.encode(), ctypes.addressof(value))
        try:
            fcntl.ioctl(control, 0x8946, request)
        except OSError:
            pass


def noise(frame):
    """Neighbour discovery and multicast of the director's own."""
    kind = frame[12:14]
    if kind == b"\x86\xdd":
        return frame[20] == 0 and frame[38:39] == b"\xff" or (frame[20] == 58 and frame[54] in (130, 131, 133, 134, 135, 136, 143))
    return kind != b"\x08\0"


def used(text):
    """Names in a scenario's text."""
    return {match[1] for match in WORD.finditer(text)}
