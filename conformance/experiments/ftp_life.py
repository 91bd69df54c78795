"""FTP: how long expected and control connections live; servers at other ports; other methods; persistence."""
from ftp import *

PASSIVE = b"227 Entering Passive Mode (10,0,2,11,195,80).\r\n"


def other(port, vport=21, rport=21, line=PASSIVE, command=b"PASV\r\n"):
    t = Talk(port, vport=vport, rport=rport)
    t.client(command)
    t.server(line)
    conns()
    return t


if __name__ == "__main__":
    setup()
    sh("modprobe ip_vs_ftp")
    title("flags of connections (raw listing), counts")
    fresh(f"-A -t {V4}:21 -s rr", f"-a -t {V4}:21 -r {R4}:21 -m")
    t = other(3000)
    show("ipvsadm -Lnc; ipvsadm -Ln; cat /proc/net/ip_vs_conn_sync; cat /proc/net/ip_vs_app")
    title("the control connection ends while data goes on; resets")
    send("cl", tcp(C4, 4000, V4, 50000, "S"), quiet=True)
    send("rs", tcp(R4, 50000, C4, 4000, "SA", ack=1001), quiet=True)
    send("cl", tcp(C4, 4000, V4, 50000, "A", seq=1001, ack=2001), quiet=True)
    t.client(flags="RA")
    conns()
    for s in (6, 6, 30):
        time.sleep(s)
        print(f"  after {s} s"); conns()

    title("an expected connection that nobody uses, and its control connection reset")
    fresh(f"-A -t {V4}:21 -s rr", f"-a -t {V4}:21 -r {R4}:21 -m")
    t = other(3000)
    t.client(flags="RA")
    for s in (5, 5, 5, 50, 60, 60, 60):
        time.sleep(s)
        print(f"  after {s} s"); conns()

    title("server at port 2121, service at 21")
    fresh(f"-A -t {V4}:21 -s rr", f"-a -t {V4}:21 -r {R4}:2121 -m")
    t = other(3000, rport=2121)
    t = other(3001, rport=2121, command=b"PORT 10,0,1,2,19,136\r\n", line=b"200 ok\r\n")
    told(send("rs", tcp(R4, 20, C4, 5000, "S"), quiet=True))
    told(send("rs", tcp(R4, 2120, C4, 5000, "S"), quiet=True)); conns()

    title("service at 2121, not among the ports")
    fresh(f"-A -t {V4}:2121 -s rr", f"-a -t {V4}:2121 -r {R4}:21 -m")
    t = other(3000, vport=2121)

    title("mark service with port 21 (service port 0)")
    fresh("-A -f 1 -s rr", f"-a -f 1 -r {R4}:0 -m")
    sh(f"iptables -t mangle -A PREROUTING -i c0 -p tcp -d {V4} -j MARK --set-mark 1")
    t = other(3000)

    title("service for all ports, persistent")
    fresh(f"-A -t {V4}:0 -s rr -p 300", f"-a -t {V4}:0 -r {R4}:0 -m")
    t = other(3000)

    title("persistent")
    fresh(f"-A -t {V4}:21 -s rr -p 300", f"-a -t {V4}:21 -r {R4}:21 -m", f"-a -t {V4}:21 -r 10.0.2.12:21 -m")
    t = Talk(3000, r="10.0.2.12")
    t.client(b"PASV\r\n"); t.server(b"227 Entering Passive Mode (10,0,2,12,195,80).\r\n"); conns()
    told(send("cl", tcp(C4, 4000, V4, 50000, "S"), quiet=True)); conns()
    told(send("cl", tcp(C4, 4001, V4, 50000, "S"), quiet=True)); conns()
    t.client(b"PORT 10,0,1,2,19,136\r\n")
    told(send("rs", tcp("10.0.2.12", 20, C4, 5000, "S"), quiet=True)); conns()
    print(sh("ipvsadm -Ln; ipvsadm -Ln --persistent-conn"))

    for method in ("-g", "-i"):
        title(f"method {method}: commands of the client; the server's answers do not come")
        fresh(f"-A -t {V4}:21 -s rr", f"-a -t {V4}:21 -r {R4}:21 {method}")
        send("cl", tcp(C4, 3000, V4, 21, "S", seq=1000), quiet=True)
        send("cl", tcp(C4, 3000, V4, 21, "A", seq=1001, ack=5001), quiet=True)
        for command in (b"PASV\r\n", b"EPSV\r\n", b"PORT 10,0,1,2,19,136\r\n"):
            out = send("cl", tcp(C4, 3000, V4, 21, "PA", command, seq=1001, ack=5001), quiet=True)
            print(" ", command, [text(b)[-len(command):] for _, _, b in out]); conns()
        told(send("cl", tcp(C4, 4000, V4, 50000, "S"), quiet=True)); conns()
        told(send("cl", tcp(C4, 4000, V4, 80, "S"), quiet=True)); conns()

    title("many expectations without use")
    fresh(f"-A -t {V4}:21 -s rr", f"-a -t {V4}:21 -r {R4}:21 -m")
    t = Talk(3000)
    for n in range(40):
        data = b"PORT 10,0,1,2,19,%d\r\n" % n
        send("cl", tcp(C4, 3000, V4, 21, "PA", data, seq=t.cseq, ack=t.cack), quiet=True); t.cseq += len(data); t.sack += len(data)
        send("rs", tcp(R4, 21, C4, 3000, "A", b"", seq=t.sseq, ack=t.sack), quiet=True)
    show("ipvsadm -Ln; ipvsadm -Lnc | wc -l")
