# Settings of tunneling destinations.
commands <<'LINES'
ipvsadm -A -t 10.0.0.100:80 -s rr
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11 -i
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.12 -i --tun-type ipip
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.13 -i --tun-type gue --tun-port 6080
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.14 -i --tun-type gue --tun-port 6080 --tun-csum
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.15 -i --tun-type gue --tun-port 6080 --tun-remcsum
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.16 -i --tun-type gre
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.17 -i --tun-type gre --tun-csum
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.18 -i --tun-type gue
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.18 -i --tun-type gue --tun-port 0
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.18 -i --tun-type gue --tun-port 65536
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.18 -i --tun-type bogus
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.18 -i --tun-port 1
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.18 -m --tun-type gre
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.18 -i --tun-type gre --tun-remcsum
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.18 -i --tun-type gre --tun-csum --tun-nocsum
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.18 -i --tun-type gue --tun-port 1 --tun-csum --tun-remcsum
ipvsadm -Ln
ipvsadm -Ln --tun-info
ipvsadm -Sn
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.13 -i --tun-type gre
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.14 -g
ipvsadm -Ln --tun-info
ipvsadm -A -t [2001:db8::100]:80 -s rr
ipvsadm -a -t [2001:db8::100]:80 -r [2001:db8::11]:80 -i --tun-type gue --tun-port 6080
ipvsadm -Ln --tun-info
LINES
