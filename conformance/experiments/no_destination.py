from packets import *
setup()
for v, c, r in ((V4, C4, "10.0.2.11"), (V6, C6, "[2001:db8:2::11]")):
    b = f"[{v}]" if ":" in v else v
    for rules, name in (((), "no destination"), ((f"-a -t {b}:80 -r {r}:80 -m -w 0", f"-a -u {b}:53 -r {r}:53 -g -w 0"), "weight 0")):
        reset(f"-A -t {b}:80 -s rr", f"-A -u {b}:53 -s rr", *rules)
        title(f"2 {v} {name}: TCP SYN, SYN with 600 bytes, ACK without connection, RST, FIN, SYN+ACK; UDP")
        client(tcp(c, 4000, v, 80, "S", tos=0x20))
        client(tcp(c, 4001, v, 80, "S", data=b"q" * 1400, df=False))
        client(tcp(c, 4002, v, 80, "A"))
        client(tcp(c, 4003, v, 80, "R"))
        client(tcp(c, 4004, v, 80, "FA"))
        client(tcp(c, 4005, v, 80, "SA"))
        client(udp(c, 4006, v, 53, tos=0x20))
        client(udp(c, 4007, v, 53, ttl=1))
        conns(); stats()
reset(f"-A -f 7 -s rr", f"-A -f 7 -6 -s rr")
sh("iptables -t mangle -A PREROUTING -i c0 -j MARK --set-mark 7; ip6tables -t mangle -A PREROUTING -i c0 -j MARK --set-mark 7")
title("2 fwmark service without destination, VIP local; then a destination that is not local (routed through)")
client(tcp(C4, 4000, V4, 80, "S")); client(udp(C6, 4000, V6, 53)); client(tcp(C4, 4000, "10.0.2.12", 80, "S"))
