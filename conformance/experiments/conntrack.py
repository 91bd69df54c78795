"""conntrack: what netfilter's connection tracking sees of balanced packets."""
from packets import *
setup(); sh("modprobe nf_conntrack; modprobe xt_conntrack; modprobe ip_vs_ftp; sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0", check=False)
v, c, r = V4, C4, R4
for on in (0, 1):
    for m in ("-m", "-g", "-i"):
        reset(f"-A -t {v}:80 -s rr", f"-a -t {v}:80 -r {r}:80 {m}"); sysctl(net__ipv4__vs__conntrack=on); sh("conntrack -F", check=False)
        sh("iptables -t mangle -F; for h in PREROUTING INPUT FORWARD POSTROUTING; do for s in NEW ESTABLISHED INVALID UNTRACKED; do iptables -t mangle -A $h -p tcp -m conntrack --ctstate $s; done; done")
        title(f"conntrack={on} {m}: SYN, SYN+ACK, ACK, data"); client(tcp(c, 4000, v, 80, "S"), quiet=True); server(tcp(r, 80, c, 4000, "SA", ack=1001), quiet=True); client(tcp(c, 4000, v, 80, "A", seq=1001, ack=1001), quiet=True); client(tcp(c, 4000, v, 80, "A", b"abc", seq=1001, ack=1001), quiet=True)
        show("conntrack -L 2>/dev/null; iptables -t mangle -nvL | awk '/^Chain/{h=$2} /ctstate/ && $1>0{print h, $1, $NF}'")
