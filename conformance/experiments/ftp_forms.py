"""FTP: which commands must come before an answer, where an address may begin and end, and what begins an expected connection."""
from ftp_lines import *


def answers(command, *lines, **k):
    PORT[0] += 1
    t = Talk(PORT[0], **k)
    if command:
        t.client(command)
    forget()
    for line in lines:
        t.server(line)
        t.client(flags="A")
    expected()


if __name__ == "__main__":
    setup()
    fresh(f"-A -t {V4}:21 -s rr", f"-a -t {V4}:21 -r {R4}:21 -m", f"-A -t [{V6}]:21 -s rr", f"-a -t [{V6}]:21 -r [{R6}]:21 -m")
    sh("modprobe ip_vs_ftp")
    n = 45000
    title("commands before a 227")
    for command in (b"", b"PASV\r\n", b"pasv\r\n", b"PASV", b"PASV \r\n", b"PASVX\r\n", b"NOOP\r\nPASV\r\n", b"P", b"EPSV\r\n", b"NOOP\r\n", b"USER x\r\n"):
        n += 1
        answers(command, b"227 Entering Passive Mode (10,0,2,11,%s).\r\n" % p(n))
    title("PASV, then other commands; two answers to one PASV")
    PORT[0] += 1
    t = Talk(PORT[0]); t.client(b"PASV\r\n"); t.client(b"NOOP\r\n"); forget(); n += 1
    t.server(b"227 Entering Passive Mode (10,0,2,11,%s).\r\n" % p(n)); expected(); t.client(flags="A"); n += 1
    t.server(b"227 Entering Passive Mode (10,0,2,11,%s).\r\n" % p(n)); expected()
    title("where the address begins and ends")
    for form in (b"227 5 x (10,0,2,11,%s)\r\n", b"227 x (10,0,2,11,%s", b"227 x 10,0,2,11,%s", b"227 x (10,0,2,11,%sx)\r\n", b"227 x ((10,0,2,11,%s))\r\n", b"227 x (x10,0,2,11,%s)\r\n", b"227 x [10,0,2,11,%s]\r\n",
                 b"227 x (0010,0,2,11,%s)\r\n", b"227 x (10,0,2,11,%s,1)\r\n", b"227 x (,0,2,11,%s)\r\n", b"227 x (10,,2,11,%s)\r\n", b"227 \r\n(10,0,2,11,%s)\r\n", b"227 (10,0,2,11,%s)\0\r\n", b"227 x\0(10,0,2,11,%s)\r\n", b"227 x (10,0,2,256,%s)\r\n", b"227 x (00000000010,0,2,11,%s)\r\n", b"227 x (4294967306,0,2,11,%s)\r\n"):
        n += 1
        answers(b"PASV\r\n", form % p(n))
    title("EPSV over IPv4: EPSV, 229")
    for command in (b"EPSV\r\n", b"epsv\r\n", b"EPSV 1\r\n", b"EPSV ALL\r\n", b"EPSV", b""):
        n += 1
        answers(command, b"229 Entering Extended Passive Mode (|||%d|)\r\n" % n)
    title("forms of 229, IPv6")
    for form in (b"229 x (|||%d|", b"229 x (|||%d|x\r\n", b"229 x |||%d|)\r\n", b"229 x (1|||%d|)\r\n", b"229 x (|1||%d|)\r\n", b"229 x (|1|10.0.2.11|%d|)\r\n", b"229 x (|||0%d|)\r\n", b"229 x (|||9%d|)\r\n", b"229-x (|||%d|)\r\n", b"229 x (|||%d!)\r\n", b"229 x (|2|2001:db8:2::99|%d|)\r\n", b"229 x (|2|nonsense|%d|)\r\n"):
        n += 1
        answers(b"EPSV\r\n", form % n, v=V6, c=C6, r=R6)
    n += 1
    print("  PASV over IPv6"); answers(b"PASV\r\n", b"227 x (10,0,2,11,%s)\r\n" % p(n), v=V6, c=C6, r=R6)
    title("forms of PORT and EPRT")
    for form in (b"PORT 10,0,1,2,%sx\r\n", b"PORT 10,0,1,2,%s,1\r\n", b"PORT x 10,0,1,2,%s\r\n", b"PORT10,0,1,2,%s\r\n", b"PORT (10,0,1,2,%s)\r\n", b"PORT 10,0,1,2,%s\r", b"PORT 10,0,1,2,%s\0\r\n"):
        n += 1
        says("client", form % p(n))
    for form in (b"EPRT |2|2001:db8:1::2|%d|\r\n", b"EPRT |1|10.0.1.2|%d\r\n", b"EPRT |1|10.0.1.2|%d|", b"EPRT |1|10.0.1.2|%d|x\r\n", b"EPRT  |1|10.0.1.2|%d|\r\n", b"EPRT |1|010.0.1.2|%d|\r\n", b"EPRT |1||%d|\r\n", b"EPRT |||%d|\r\n", b"EPRT (|1|10.0.1.2|%d|)\r\n", b"EPRT |1|10.0.1.2|0%d|\r\n", b"EPRT x|1|10.0.1.2|%d|\r\n"):
        n += 1
        says("client", form % n)
    for form in (b"EPRT |1|10.0.1.2|%d|\r\n", b"EPRT |2|2001:DB8:1:0:0:0:0:2|%d|\r\n", b"EPRT |2|::ffff:10.0.1.2|%d|\r\n", b"EPRT |2|2001:db8:1::2|%d\r\n", b"EPRT |2|[2001:db8:1::2]|%d|\r\n"):
        n += 1
        says("client", form % n, v=V6, c=C6, r=R6)
    title("what begins an expected connection: an ACK, a FIN, a RST")
    for flags in ("A", "FA", "R", "SA"):
        n += 1
        answers(b"PASV\r\n", b"227 Entering Passive Mode (10,0,2,11,%s).\r\n" % p(n))
        told(send("cl", tcp(C4, 4000 + n % 1000, V4, n, flags), quiet=True)); show(f"cat /proc/net/ip_vs_conn | grep ' {n:04X} '")
    title("an expected connection in the other direction: first packets from the server, then a client's packets")
    n += 1
    says("client", b"PORT 10,0,1,2,%s\r\n" % p(n))
    for flags in ("A", "S"):
        told(send("rs", tcp(R4, 20, C4, n, flags), quiet=True)); show(f"cat /proc/net/ip_vs_conn | grep ' {n:04X} '")
    told(send("cl", tcp(C4, n, V4, 20, "S"), quiet=True)); show(f"cat /proc/net/ip_vs_conn | grep ' {n:04X} '")
