# The command line itself: what ipvsadm refuses before it asks anyone.
commands <<'LINES'
ipvsadm -h
ipvsadm --help
ipvsadm -v
ipvsadm --version
ipvsadm -A
ipvsadm -A -s rr
ipvsadm -A -t
ipvsadm -A -t 10.0.0.100:80 -s
ipvsadm -A -t 80 -s rr
ipvsadm -A -t 10.0.0.256:80 -s rr
ipvsadm -A -t 10.0.0:80 -s rr
ipvsadm -A -t :80 -s rr
ipvsadm -A -t 10.0.0.100:80 -r 10.0.0.11
ipvsadm -A -t 10.0.0.100:80 -m
ipvsadm -A -t 10.0.0.100:80 -w 1
ipvsadm -A -t 10.0.0.100:80 -n
ipvsadm -A -t 10.0.0.100:80 -x 1
ipvsadm -A -t 10.0.0.100:80 -t 10.0.0.100:81
ipvsadm -A -t 10.0.0.100:80 -u 10.0.0.100:80
ipvsadm -A -t 10.0.0.100:80 -f 1
ipvsadm -A -t 10.0.0.100:80 -s rr -s wrr
ipvsadm -A -t 10.0.0.100:80 -s rr extra
ipvsadm -A -t 10.0.0.100:80 -M 255.255.255.0
ipvsadm -A -t 10.0.0.100:80 -o
ipvsadm -A -t 10.0.0.100:80 -6
ipvsadm -A -t 10.0.0.100:80 -D
ipvsadm -A -A -t 10.0.0.100:80
ipvsadm -A -E -t 10.0.0.100:80
ipvsadm -t 10.0.0.100:80 -A
ipvsadm -s rr
ipvsadm --bogus
ipvsadm -q
ipvsadm -A --bogus
ipvsadm -A -t 10.0.0.100:80 -q
ipvsadm -A -t 10.0.0.100:80 --weight=3
ipvsadm bogus
ipvsadm -A bogus
ipvsadm --add-service --tcp-service 10.0.0.100:80 --scheduler rr
ipvsadm --add-service --tcp-service=10.0.0.100:81 --scheduler=rr
ipvsadm -At 10.0.0.100:82 -srr
ipvsadm -a -t 10.0.0.100:80
ipvsadm -a -r 10.0.0.11
ipvsadm -a -t 10.0.0.100:80 -r
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.300
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11 -m -g
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11 -g -i
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11 -m -m
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11 -s rr
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11 -p
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11 -r 10.0.0.12
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11 -w 1 -w 2
ipvsadm --add-server --tcp-service 10.0.0.100:80 --real-server 10.0.0.11 --masquerading --weight 3 --u-threshold 9 --l-threshold 4
ipvsadm --edit-server --tcp-service 10.0.0.100:80 --real-server 10.0.0.11 --gatewaying
ipvsadm -d -t 10.0.0.100:80
ipvsadm -d -t 10.0.0.100:80 -r 10.0.0.11 -w 1
ipvsadm -d -t 10.0.0.100:80 -r 10.0.0.11 -m
ipvsadm -D
ipvsadm -D -t 10.0.0.100:80 -s rr
ipvsadm -D -t 10.0.0.100:80 -r 10.0.0.11
ipvsadm -E
ipvsadm -C -t 10.0.0.100:80
ipvsadm -C -n
ipvsadm -Z -s rr
ipvsadm -Z -r 10.0.0.11
ipvsadm -S -s rr
ipvsadm -S --stats
ipvsadm --set
ipvsadm --set 1
ipvsadm --set 1 2
ipvsadm --set 1 2 3 4
ipvsadm --set a b c
ipvsadm --set -1 2 3
ipvsadm --set 2678401 1 1
ipvsadm -A -t 10.0.0.100:83 -s rr -p 0
ipvsadm -A -t 10.0.0.100:83 -s rr -p -5
ipvsadm -A -t 10.0.0.100:83 -s rr -p 2678401
ipvsadm -A -t 10.0.0.100:83 -s rr -p abc
ipvsadm -A -t 10.0.0.100:83 -s rr -p 60 -M 300.0.0.0
ipvsadm -A -t 10.0.0.100:83 -s rr -p 60 -M abc
ipvsadm -h -n
ipvsadm -v extra
ipvsadm --start-daemon
ipvsadm --start-daemon bogus
ipvsadm --start-daemon master --syncid 256
ipvsadm --stop-daemon
ipvsadm --stop-daemon bogus
ipvsadm -Ln
LINES
