"""FTP: what the kernel's helper (ip_vs_ftp) rewrites, which connections it expects, and how long they live."""
from packets import *

OTHER = "10.0.1.100"


def text(b):
    """The data of a TCP packet in a frame."""
    b = b[14:]
    b = b[(b[0] & 15) * 4:struct.unpack("!H", b[2:4])[0]] if b[0] >> 4 == 4 else b[40:]
    return b[(b[12] >> 4) * 4:]


def told(frames):
    for ns, line, b in frames:
        print(f"  -> {'client' if ns == 'cl' else 'server'}: {line}", *([text(b)] if b[14] >> 4 == 4 and b[23] == 6 or b[14] >> 4 == 6 and b[20] == 6 else []), flush=True)
    if not frames:
        print("  -> nothing comes out", flush=True)


class Talk:
    """A control connection between a client port and a server."""

    def __init__(self, port, v=V4, c=C4, r=R4, vport=21, rport=21, quiet=True):
        self.v, self.c, self.r, self.port, self.vport, self.rport = v, c, r, port, vport, rport
        # Next sequence numbers as each side itself counts, and what each has received.
        self.cseq, self.sseq, self.cack, self.sack = 1001, 5001, 5001, 1001
        send("cl", tcp(c, port, v, vport, "S", seq=1000), quiet=True)
        send("rs", tcp(r, rport, c, port, "SA", seq=5000, ack=1001), quiet=True)
        send("cl", tcp(c, port, v, vport, "A", seq=1001, ack=5001), quiet=True)

    def client(self, data=b"", flags="PA", seq=None, ack=None):
        print(f"  client says {data} seq={seq or self.cseq} ack={ack or self.cack}")
        out = send("cl", tcp(self.c, self.port, self.v, self.vport, flags, data, seq=seq or self.cseq, ack=ack or self.cack), quiet=True)
        if seq is None:
            self.cseq += len(data)
        self.sack += sum(len(text(b)) for ns, _, b in out if ns == "rs")
        told(out)

    def server(self, data=b"", flags="PA", seq=None, ack=None):
        print(f"  server says {data} seq={seq or self.sseq} ack={ack or self.sack}")
        out = send("rs", tcp(self.r, self.rport, self.c, self.port, flags, data, seq=seq or self.sseq, ack=ack or self.sack), quiet=True)
        if seq is None:
            self.sseq += len(data)
        self.cack += sum(len(text(b)) for ns, _, b in out if ns == "cl")
        told(out)


def fresh(*rules, ports=None):
    afresh(*rules)
    conns_wanted = "cat /proc/net/ip_vs_app"
    show(conns_wanted)


if __name__ == "__main__":
    setup()
    MASQ = (f"-A -t {V4}:21 -s rr", f"-a -t {V4}:21 -r {R4}:21 -m")
    title("is the module loaded by itself?")
    for r in MASQ:
        sh("ipvsadm " + r)
    show("lsmod | grep ip_vs; cat /proc/net/ip_vs_app")
    sh("modprobe ip_vs_ftp")
    show("lsmod | grep ip_vs; cat /proc/net/ip_vs_app; cat /sys/module/ip_vs_ftp/parameters/ports; sysctl net.ipv4.vs.conntrack")

    title("passive: 227")
    t = Talk(3000); conns()
    t.client(b"PASV\r\n")
    t.server(b"227 Entering Passive Mode (10,0,2,11,195,80).\r\n"); conns()
    t.client(flags="A")
    print("  again, as a retransmission")
    t.server(b"227 Entering Passive Mode (10,0,2,11,195,80).\r\n", seq=5001); conns()
    t.server(b"150 go\r\n")
    t.client(flags="A")
    t.client(b"NOOP\r\n")
    print("  data connection: client SYN to the port")
    told(send("cl", tcp(C4, 4000, V4, 50000, "S"), quiet=True)); conns()
    told(send("rs", tcp(R4, 50000, C4, 4000, "SA", ack=1001), quiet=True))
    told(send("cl", tcp(C4, 4000, V4, 50000, "A", seq=1001, ack=2001), quiet=True)); conns()
    print("  another data connection to the same port")
    told(send("cl", tcp(C4, 4001, V4, 50000, "S"), quiet=True)); conns()
    stats()

    title("active: PORT")
    fresh(*MASQ)
    t = Talk(3000)
    t.client(b"PORT 10,0,1,2,19,136\r\n"); conns()
    t.server(b"200 ok\r\n")
    print("  data connection from port 20")
    told(send("rs", tcp(R4, 20, C4, 5000, "S"), quiet=True)); conns()
    told(send("cl", tcp(C4, 5000, V4, 20, "SA", ack=1001), quiet=True)); conns()
    print("  from another port, no PORT for it")
    told(send("rs", tcp(R4, 30000, C4, 5000, "S"), quiet=True)); conns()
    told(send("rs", tcp(R4, 20, C4, 5001, "S"), quiet=True)); conns()
    stats()

    title("ends of control connections: data first, control first")
    t.client(flags="FA"); t.server(flags="FA"); t.client(flags="A"); conns()
