# Which addresses a destination may have.
commands <<'LINES'
ipvsadm -A -t 10.0.0.100:80 -s rr
ipvsadm -a -t 10.0.0.100:80 -r 224.0.0.1 -m
ipvsadm -a -t 10.0.0.100:80 -r 239.255.255.255 -g
ipvsadm -a -t 10.0.0.100:80 -r 255.255.255.255 -m
ipvsadm -a -t 10.0.0.100:80 -r 0.0.0.0 -m
ipvsadm -a -t 10.0.0.100:80 -r 0.1.2.3 -m
ipvsadm -a -t 10.0.0.100:80 -r 240.0.0.1 -m
ipvsadm -a -t 10.0.0.100:80 -r 127.0.0.1 -m
ipvsadm -a -t 10.0.0.100:80 -r 127.9.9.9 -m
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.255 -m
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.0 -m
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.1 -m
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.100 -g
ipvsadm -a -t 10.0.0.100:80 -r 192.0.2.1 -m
ipvsadm -a -t 10.0.0.100:80 -r 169.254.1.1 -g
ipvsadm -a -t 10.0.0.100:80 -r 8.8.8.8 -i
ipvsadm -Ln
# editing to another method checks nothing new
ipvsadm -e -t 10.0.0.100:80 -r 192.0.2.1 -g
ipvsadm -e -t 10.0.0.100:80 -r 224.0.0.1 -g
ipvsadm -d -t 10.0.0.100:80 -r 224.0.0.1

# IPv6
ipvsadm -A -t [2001:db8::100]:80 -s rr
ipvsadm -a -t [2001:db8::100]:80 -r [ff02::1]:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r [::]:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r [::1]:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r [fe80::1]:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r [2001:db8::1]:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r [2001:db8::100]:80 -g
ipvsadm -a -t [2001:db8::100]:80 -r [fd00::1]:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r [2001:db8:ffff::1]:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r [::ffff:10.0.0.11]:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r [::10.0.0.11]:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r [fec0::1]:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r [100::1]:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r [4000::1]:80 -m
ipvsadm -Ln
LINES
