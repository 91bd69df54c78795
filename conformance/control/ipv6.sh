# IPv6 services and destinations.
commands <<'LINES'
ipvsadm -A -t [2001:db8::100]:80 -s rr
ipvsadm -A -t [2001:db8::100]:80 -s rr
ipvsadm -A -t [2001:DB8:0:0::100]:80 -s rr
ipvsadm -A -u [2001:db8::100]:53 -s wrr
ipvsadm -A -t 2001:db8::101 -s rr
ipvsadm -A -t 2001:db8::101 -s rr -p 60
ipvsadm -A -t [2001:db8::102] -s rr -p 60
ipvsadm -A -t [::]:80 -s rr
ipvsadm -A -t [::1]:80 -s rr
ipvsadm -A -t [::ffff:1.2.3.4]:80 -s rr
ipvsadm -A -t [2001:db8::1:2:3:4:5]:80 -s rr
ipvsadm -A -t [fe80::1]:80 -s rr
ipvsadm -A -t [2001:db8::g]:80 -s rr
ipvsadm -A -t [2001:db8::100:80 -s rr
ipvsadm -A -t [2001:db8::100]80 -s rr
ipvsadm -A -t [2001:db8::100]: -s rr
ipvsadm -A -t [2001:db8::100]:99999 -s rr
ipvsadm -A -t 2001:db8::100:80:1:2:3:4:5 -s rr
ipvsadm -Ln

# persistence by prefix
ipvsadm -A -t [2001:db8::103]:80 -s rr -p 60 -M 64
ipvsadm -A -t [2001:db8::104]:80 -s rr -p 60 -M 128
ipvsadm -A -t [2001:db8::105]:80 -s rr -p 60 -M 0
ipvsadm -A -t [2001:db8::105]:80 -s rr -p 60 -M 129
ipvsadm -A -t [2001:db8::105]:80 -s rr -p 60 -M 255.255.255.0
ipvsadm -A -t [2001:db8::105]:80 -s rr -p 60 -M 1
ipvsadm -E -t [2001:db8::105]:80 -s rr -p 60 -M 48
ipvsadm -Ln

# destinations
ipvsadm -a -t [2001:db8::100]:80 -r [2001:db8::11]:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r [2001:db8::12]:8080 -m -w 3
ipvsadm -a -t [2001:db8::100]:80 -r [2001:db8::13] -g
ipvsadm -a -t [2001:db8::100]:80 -r 2001:db8::14 -g
ipvsadm -a -t [2001:db8::100]:80 -r [2001:db8:1111:2222:3333:4444:5555:6666]:8080 -m
ipvsadm -a -t [2001:db8::100]:80 -r [2001:db8::11]:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r 10.0.0.11:80 -m
ipvsadm -a -t [2001:db8::100]:80 -r 10.0.0.11:80 -g
ipvsadm -a -t [2001:db8::100]:80 -r 10.0.0.11:80 -i
ipvsadm -A -t 10.0.0.100:80 -s rr
ipvsadm -a -t 10.0.0.100:80 -r [2001:db8::11]:80 -i
ipvsadm -a -t 10.0.0.100:80 -r [2001:db8::11]:80 -m
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11:80 -m
ipvsadm -Ln
ipvsadm -Ln -t [2001:db8::100]:80
ipvsadm -Ln --stats
ipvsadm -Ln --rate
ipvsadm -Ln --thresholds
ipvsadm -Ln --persistent-conn
ipvsadm -Ln --tun-info
ipvsadm -Sn
ipvsadm -e -t [2001:db8::100]:80 -r [2001:db8::12]:8080 -m -w 9
ipvsadm -e -t [2001:db8::100]:80 -r [2001:db8::12]:8081 -m -w 9
ipvsadm -d -t [2001:db8::100]:80 -r [2001:db8::12]:8080
ipvsadm -d -t [2001:db8::100]:80 -r [2001:db8::12]:8080
ipvsadm -Z -t [2001:db8::100]:80
ipvsadm -D -t [2001:db8::100]:80
ipvsadm -D -t [2001:db8::100]:80
ipvsadm -Ln -t [2001:db8::100]:80
ipvsadm -C
ipvsadm -Ln
LINES
