"""lblc and lblcr: which server gets a SYN to each address of a marked service (direct routing, all stay active).

A line shows server numbers in the order of the addresses given; `wait` lines pass seconds; `weight` lines edit."""
from packets import *
setup()
c = C4
sh("ip route add local 10.6.0.0/16 dev lo; modprobe ip_vs_lblc; modprobe ip_vs_lblcr")
sh("nft add table ip m; nft add chain ip m p '{ type filter hook prerouting priority mangle; }'; nft add rule ip m p ip daddr 10.6.0.0/16 meta mark set 1")
port = 3000


def start(s, weights, more=("",) * 9):
    global n
    n = len(weights)
    reset(f"-A -f 1 -s {s}", *(f"-a -f 1 -r 10.0.2.{11 + i}:0 -g -w {w} {more[i]}" for i, w in enumerate(weights)))


def go(text):
    """Addresses by their last byte; wN: wait N seconds; sI=W: server I gets weight W; dI: server I deleted; aI: added; eN: expiration."""
    global port
    out = []
    for t in text.split():
        if t[0] == "w": time.sleep(float(t[1:])); out.append(t)
        elif t[0] == "s": i, w = t[1:].split("="); sh(f"ipvsadm -e -f 1 -r 10.0.2.{10 + int(i)}:0 -g -w {w}"); out.append(t)
        elif t[0] == "d": sh(f"ipvsadm -d -f 1 -r 10.0.2.{10 + int(t[1:])}:0"); out.append(t)
        elif t[0] == "a": sh(f"ipvsadm -a -f 1 -r 10.0.2.{10 + int(t[1:])}:0 -g"); out.append(t)
        elif t[0] == "e": sysctl(net__ipv4__vs__lblcr_expiration=t[1:], net__ipv4__vs__lblc_expiration=t[1:]); out.append(t)
        else:
            port += 1
            got = [b[5] - 0x10 for ns, l, b in client(tcp(c, port, f"10.6.0.{t}", 80, "S"), quiet=True, wait=.04) if ns == "rs"]
            out.append(f"{got[0]}" if got else "-")
    print(f"   {text}\n=> {' '.join(out)}", flush=True)


for s in ("lblc", "lblcr"):
    for weights, text in (
        ((1, 1, 1), "1 1 1 1 1 1 2 3 4 5 1 2 3 4 5 5 5"),
        ((2, 2, 4), "1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        ((4, 4, 4), "1 1 1 1 1 1 2 2 2 2 2 2 3 3 3 3 3 3 1 2 3 1 2 3"),
        ((3, 0, 2), "1 2 3 4 1 2 3 4 s1=0 1 2 3 4 s1=3 s2=5 1 2 3 4 1 2 3 4"),
        ((1, 1), "1 2 d2 1 2 a2 1 2 1 2 3"),
        ((9, 9), "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
    ):
        start(s, weights); print(" ", s, weights); go(text)
    start(s, (1, 1, 1), ("-x 2", "-x 2", "-x 1")); print(" ", s, "limits 2 2 1"); go("1 1 1 1 2 2 2")
print("  lblcr with expiration")
for weights, text in (
    ((8, 8, 8), "e2 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 w3 1 1 1 1 1 1 1 w3 1 1 1 1"),
    ((2, 2, 2), "e2 1 1 1 1 1 1 s1=20 s2=20 s3=20 1 1 1 w3 1 1 1 1 1 1 1 1 w3 1 1 1 w3 1 1 1 s3=0 1 1 1 s2=0 1 1 1 s1=0 1 s3=9 1 1"),
    ((1, 1), "e2 1 1 1 1 1 w3 1 s1=9 s2=9 1 w3 1 w3 1 1 1"),
):
    start("lblcr", weights); print(" ", weights); go(text)
print("  lblc with expiration 2: the full check comes with every 30th tick only")
start("lblc", (1, 1)); go("e2 1 2 3 s1=9 w65 1 2 3")
sh("nft flush ruleset")
