# The files of /proc/net: empty, with services of every kind, with connections.
commands <<'LINES'
vs_proc ip_vs
vs_proc ip_vs_conn
vs_proc ip_vs_conn_sync
vs_proc ip_vs_stats
vs_proc ip_vs_stats_percpu
vs_proc ip_vs_app

# services and destinations of every kind
ipvsadm -A -t 10.0.0.100:80 -s wlc
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11:80 -m -w 3 -x 100 -y 50
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.12:8080 -m -w 2147483647
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.13:80 -g -w 0
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.14:80 -i
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.15:80 -i --tun-type gue --tun-port 6080
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.1:80 -m
ipvsadm -a -t 10.0.0.100:80 -r [2001:db8::11]:80 -i
ipvsadm -A -t 255.255.255.254:65535 -s wrr -p 3600 -M 255.255.255.0
ipvsadm -A -t 10.0.0.101:80 -s rr -p
ipvsadm -A -t 10.0.0.102:80 -s rr -p 2678400
ipvsadm -A -u 10.0.0.100:53 -s rr -o
ipvsadm -a -u 10.0.0.100:53 -r 10.0.0.11:53 -m
ipvsadm -A -u 10.0.0.101:53 -s sh -p 50 -o -b sh-port
ipvsadm -A --sctp-service 10.0.0.100:9899 -s lc
ipvsadm -a --sctp-service 10.0.0.100:9899 -r 10.0.0.11:9899 -m
ipvsadm -A -t 10.0.0.103:0 -s rr -p
ipvsadm -A -t [2001:db8::100]:80 -s sed -p 300 -M 64
ipvsadm -a -t [2001:db8::100]:80 -r [2001:db8::11]:8080 -m
ipvsadm -a -t [2001:db8::100]:80 -r [2001:db8::12]:80 -g
ipvsadm -A -u [2001:db8:1111:2222:3333:4444:5555:6666]:65535 -s nq -o
ipvsadm -a -u [2001:db8:1111:2222:3333:4444:5555:6666]:65535 -r [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535 -m
ipvsadm -A -t [2001:db8::101]:443 -s rr -p
ipvsadm -A -f 42 -s rr
ipvsadm -a -f 42 -r 10.0.0.11 -g
ipvsadm -A -f 4294967295 -s rr -o
ipvsadm -A -f 43 -s rr -p 100 -o
ipvsadm -A -f 44 -s rr -p 100
ipvsadm -A -f 42 -6 -s rr -p 60 -M 96
ipvsadm -a -f 42 -6 -r [2001:db8::11]:0 -g
vs_proc ip_vs
ipvsadm -C
vs_proc ip_vs

# connections, counters
ipvsadm --set 0 0 3000
ipvsadm -A -u 10.0.0.100:53 -s rr
ipvsadm -a -u 10.0.0.100:53 -r 10.0.0.11:53 -m
ipvsadm -a -u 10.0.0.100:53 -r 10.0.0.12:5353 -m
ipvsadm -A -u [2001:db8::100]:53 -s rr
ipvsadm -a -u [2001:db8::100]:53 -r [2001:db8::11]:5353 -m
LINES
datagrams 6 10.0.0.100 53
datagrams 3 2001:db8::100 53 100
commands <<'LINES'
vs_proc ip_vs
vs_proc ip_vs_conn
vs_proc ip_vs_conn_sync
vs_proc ip_vs_stats
vs_proc ip_vs_stats_percpu
ipvsadm -Z
vs_proc ip_vs_stats
vs_proc ip_vs_stats_percpu
LINES
datagrams 20 10.0.0.100 53 1300
commands <<'LINES'
vs_proc ip_vs_stats
vs_proc ip_vs_stats_percpu
ipvsadm -D -u 10.0.0.100:53
vs_proc ip_vs_conn | wc -l
vs_proc ip_vs_stats
LINES
