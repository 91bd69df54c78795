"""FTP: which lines the kernel's helper understands, in what form it writes them anew, and what it expects then."""
from ftp import *

SEEN = set()
PORT = [3000]


def listening():
    """Connections that are expected, without their time to expiry."""
    return [" ".join(line.split()[:8]) for line in sh("cat /proc/net/ip_vs_conn").splitlines() if "LISTEN" in line]


def expected():
    print("  expected:", [line for line in listening() if line not in SEEN])


def forget():
    SEEN.clear()
    SEEN.update(listening())


def says(side, *lines, **k):
    PORT[0] += 1
    t = Talk(PORT[0], **k)
    if side == "server":
        t.client(b"PASV\r\n" if k.get("v", V4) == V4 else b"EPSV\r\n")
    forget()
    for line in lines:
        getattr(t, side)(line)
        # the other side acknowledges
        getattr(t, "server" if side == "client" else "client")(flags="A")
    expected()


def p(n):
    return b"%d,%d" % (n >> 8, n & 255)


if __name__ == "__main__":
    setup()
    fresh(f"-A -t {V4}:21 -s rr", f"-a -t {V4}:21 -r {R4}:21 -m", f"-A -t [{V6}]:21 -s rr", f"-a -t [{V6}]:21 -r [{R6}]:21 -m")
    sh("modprobe ip_vs_ftp")
    n = 40000
    title("PASV answers")
    for form in (b"227 Entering Passive Mode (10,0,2,11,%s).\r\n", b"227 Entering Passive Mode (10,0,2,11,%s)\r\n", b"227 =10,0,2,11,%s\r\n",
                 b"227 10,0,2,11,%s\r\n", b"227 Passive (10,0,2,11,%s\r\n", b"227 entering passive mode (10,0,2,11,%s)\n", b"227 x (10,0,2,11,%s)",
                 b"227-Entering Passive Mode (10,0,2,11,%s)\r\n", b"150 Entering Passive Mode (10,0,2,11,%s).\r\n", b"227 Entering Passive Mode (10,0,2,99,%s).\r\n",
                 b"227 Entering Passive Mode (192,168,100,100,%s).\r\n", b"220 hello\r\n227 Entering Passive Mode (10,0,2,11,%s).\r\n", b"227 Entering Passive Mode (10,0,2,11,%s).\r\n150 go\r\n",
                 b"227 Entering Passive Mode ( 10, 0, 2, 11, %s ).\r\n", b"227 Entering Passive Mode (010,000,002,011,%s).\r\n", b"227 Entering Passive Mode (10,0,2,11,%s).\r\n227 Entering Passive Mode (10,0,2,11,%s).\r\n", b"227 Entering Passive Mode (10.0.2.11:%s).\r\n", b"227Entering Passive Mode (10,0,2,11,%s).\r\n"):
        n += 1
        says("server", form % ((p(n),) * form.count(b"%s")))
    title("split 227")
    n += 1
    says("server", b"227 Entering Passive Mode (10,0,", b"2,11,%s).\r\n" % p(n))
    title("ports out of the ordinary: 300,5; 0; 80; 21; 65535")
    for q in (b"300,5", b"0,0", b"0,80", b"0,21", b"255,255"):
        says("server", b"227 Entering Passive Mode (10,0,2,11,%s).\r\n" % q)
    title("EPSV answers over IPv4")
    for form in (b"229 Entering Extended Passive Mode (|||%d|)\r\n", b"229 Entering Extended Passive Mode (|||%d|).\r\n", b"229 |||%d|\r\n"):
        n += 1
        says("server", form % n)
    title("EPSV answers over IPv6")
    for form in (b"229 Entering Extended Passive Mode (|||%d|)\r\n", b"229 Entering Extended Passive Mode (|||%d|).\r\n", b"229 Entering Extended Passive Mode (!!!%d!)\r\n",
                 b"229 Entering Extended Passive Mode (|2|2001:db8:2::11|%d|)\r\n", b"229 Entering Extended Passive Mode (|||%d)\r\n", b"229 x |||%d|\r\n", b"227 Entering Passive Mode (10,0,2,11,156,%d)\r\n"):
        n += 1
        says("server", form % (n if b"227" not in form else n & 255), v=V6, c=C6, r=R6)
    title("PORT")
    for form in (b"PORT 10,0,1,2,%s\r\n", b"port 10,0,1,2,%s\r\n", b"Port 10,0,1,2,%s\r\n", b"PORT  10,0,1,2,%s\r\n", b"PORT 10,0,1,2,%s\n", b"PORT 10,0,1,2,%s", b"PORT 10,0,1,3,%s\r\n", b"NOOP\r\nPORT 10,0,1,2,%s\r\n",
                 b"PORT 10,0,1,2,%s\r\nRETR x\r\n", b"PORT 10,0,1,2,%s \r\n", b"XPORT 10,0,1,2,%s\r\n", b"PORT\t10,0,1,2,%s\r\n"):
        n += 1
        says("client", form % p(n))
    n += 1
    says("client", b"PORT 10,0,1,", b"2,%s\r\n" % p(n))
    title("EPRT over IPv4 and IPv6")
    for form in (b"EPRT |1|10.0.1.2|%d|\r\n", b"eprt |1|10.0.1.2|%d|\r\n"):
        n += 1
        says("client", form % n)
    for form in (b"EPRT |2|2001:db8:1::2|%d|\r\n", b"eprt |2|2001:db8:1::2|%d|\r\n", b"EPRT !2!2001:db8:1::2!%d!\r\n", b"EPRT |2|2001:db8:1::3|%d|\r\n"):
        n += 1
        says("client", form % n, v=V6, c=C6, r=R6)
    print(sh("ipvsadm -Lnc"))
