# Services by firewall mark.
commands <<'LINES'
ipvsadm -A -f 1 -s rr
ipvsadm -A -f 1 -s rr
ipvsadm -A -f 1 -6 -s rr
ipvsadm -A -f 1 -6 -s wrr
ipvsadm -A -f 0 -s rr
ipvsadm -A -f -1 -s rr
ipvsadm -A -f 4294967295 -s rr
ipvsadm -A -f 4294967296 -s rr
ipvsadm -A -f 2147483648 -s rr
ipvsadm -A -f abc -s rr
ipvsadm -A -f 0x10 -s rr
ipvsadm -A -6 -f 3 -s rr
ipvsadm -A -f 3 -s rr -p
ipvsadm -A -f 4 -s rr -o
ipvsadm -A -f 5 -s rr -p 60 -M 255.255.0.0
ipvsadm -Ln
ipvsadm -a -f 1 -r 10.0.0.11 -m
ipvsadm -a -f 1 -r 10.0.0.12:8080 -m
ipvsadm -a -f 1 -r 10.0.0.13:8080 -g
ipvsadm -a -f 1 -r 10.0.0.11:0 -m
ipvsadm -a -f 1 -6 -r [2001:db8::11]:80 -m
ipvsadm -a -f 1 -6 -r [2001:db8::12] -g -w 2
ipvsadm -a -f 1 -r [2001:db8::12] -g
ipvsadm -a -f 2 -r 10.0.0.11 -m
ipvsadm -Ln
ipvsadm -Ln -f 1
ipvsadm -Ln -f 1 -6
ipvsadm -Ln -f 9
ipvsadm -Sn
ipvsadm -Ln --stats
ipvsadm -E -f 1 -s wlc
ipvsadm -E -f 1 -6 -s sed
ipvsadm -E -f 9 -s wlc
ipvsadm -e -f 1 -r 10.0.0.12:8080 -m -w 5
ipvsadm -d -f 1 -r 10.0.0.11
ipvsadm -d -f 1 -r 10.0.0.11
ipvsadm -Z -f 1
ipvsadm -Z -f 9
ipvsadm -Ln
ipvsadm -D -f 1
ipvsadm -D -f 1
ipvsadm -Ln
ipvsadm -D -f 1 -6
# address services beside them: the order of the listing
ipvsadm -A -t 10.0.0.100:80 -s rr
ipvsadm -A -u 10.0.0.99:80 -s rr
ipvsadm -A -t [2001:db8::100]:80 -s rr
ipvsadm -A -f 1 -s rr
ipvsadm -Ln
ipvsadm -Sn
LINES
