# Every listing format, over a mixed table without traffic.
commands <<'LINES'
ipvsadm -A -t 10.0.0.100:80 -s wlc
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11:80 -m -w 3 -x 100 -y 50
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.12:8080 -m -w 2147483647
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.13:80 -g
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.14:80 -i
ipvsadm -A -t 255.255.255.254:65535 -s wrr -p 3600 -M 255.255.255.0
ipvsadm -a -t 255.255.255.254:65535 -r 192.168.100.200:65535 -m
ipvsadm -A -u 10.0.0.100:53 -s rr -o
ipvsadm -a -u 10.0.0.100:53 -r 10.0.0.11:53 -m
ipvsadm -A --sctp-service 10.0.0.100:9899 -s lc
ipvsadm -a --sctp-service 10.0.0.100:9899 -r 10.0.0.11:9899 -m
ipvsadm -A -t [2001:db8::100]:80 -s sed -p 300 -M 64
ipvsadm -a -t [2001:db8::100]:80 -r [2001:db8::11]:8080 -m
ipvsadm -A -t [2001:db8:1111:2222:3333:4444:5555:6666]:65535 -s nq
ipvsadm -a -t [2001:db8:1111:2222:3333:4444:5555:6666]:65535 -r [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535 -m
ipvsadm -A -f 42 -s rr
ipvsadm -a -f 42 -r 10.0.0.11 -g
ipvsadm -A -t 10.0.0.101:443 -s rr

ipvsadm -Ln
ipvsadm -ln
ipvsadm --list --numeric
ipvsadm -n
ipvsadm -L -n
ipvsadm -Ln --stats
ipvsadm -Ln --stats --exact
ipvsadm -Ln --rate
ipvsadm -Ln --rate --exact
ipvsadm -Ln --thresholds
ipvsadm -Ln --persistent-conn
ipvsadm -Ln --tun-info
ipvsadm -Ln --sort
ipvsadm -Ln -X
ipvsadm -Ln --stats --rate
ipvsadm -Ln --rate --thresholds
ipvsadm -Ln --thresholds --persistent-conn
ipvsadm -Ln --timeout
ipvsadm -L --timeout
ipvsadm -L --daemon
ipvsadm -Lnc
ipvsadm -Ln -c
ipvsadm -Ln --connection --persistent-conn
ipvsadm -Ln -t 10.0.0.100:80
ipvsadm -Ln -t 10.0.0.100:80 --stats
ipvsadm -Ln -t 10.0.0.100:80 --rate
ipvsadm -Ln -t 10.0.0.100:80 --thresholds
ipvsadm -Ln -t 10.0.0.100:80 --persistent-conn
ipvsadm -Ln -t 10.0.0.100:80 --nosort
ipvsadm -Ln -u 10.0.0.100:53
ipvsadm -Ln --sctp-service 10.0.0.100:9899
ipvsadm -Ln -f 42
ipvsadm -Ln -t [2001:db8::100]:80 --stats
ipvsadm -Ln -t 10.0.0.101:443
ipvsadm -Ln -t 10.0.0.101:444
ipvsadm -Ln -u 10.0.0.100:80

# combinations that are refused
ipvsadm -Ln -c --stats
ipvsadm -Ln -c --rate
ipvsadm -Ln --timeout --stats
ipvsadm -Ln --daemon --thresholds
ipvsadm -Ln --timeout --persistent-conn
ipvsadm -Ln -c -t 10.0.0.100:80
ipvsadm -Ln --timeout -t 10.0.0.100:80
ipvsadm -Ln --timeout --daemon
ipvsadm -Ln -w 1
ipvsadm -Ln -s rr
ipvsadm -Ln -r 10.0.0.11
ipvsadm -Ln --set
ipvsadm -Ln extra
LINES
