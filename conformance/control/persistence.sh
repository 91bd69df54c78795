# Persistence, netmasks, one-packet scheduling, scheduler flags and persistence engines: how services keep them.
commands <<'LINES'
ipvsadm -A -t 10.0.0.100:80 -s rr -p
ipvsadm -A -t 10.0.0.100:81 -s rr -p 1
ipvsadm -A -t 10.0.0.100:82 -s rr -p 2678400
ipvsadm -A -t 10.0.0.100:83 -s rr -p 60 -M 255.255.255.255
ipvsadm -A -t 10.0.0.100:84 -s rr -p 60 -M 255.255.255.0
ipvsadm -A -t 10.0.0.100:85 -s rr -p 60 -M 0.0.0.0
ipvsadm -A -t 10.0.0.100:86 -s rr -p 60 -M 255.0.255.0
ipvsadm -A -u 10.0.0.100:80 -s rr -o
ipvsadm -A -u 10.0.0.100:81 -s rr -o -p 60
ipvsadm -A -t 10.0.0.100:87 -s rr -o
ipvsadm -A --sctp-service 10.0.0.100:87 -s rr -o
ipvsadm -A -t 10.0.0.100:88 -s rr --pe nosuch
ipvsadm -A -t 10.0.0.100:88 -s nosuch --pe nosuch
ipvsadm -A -t 10.0.0.100:88 -s rr -b flag-1
ipvsadm -A -t 10.0.0.100:89 -s rr -b flag-1,flag-2,flag-3
ipvsadm -A -t 10.0.0.100:90 -s rr -b flag-4
ipvsadm -A -t 10.0.0.100:90 -s rr -b sh-port
ipvsadm -A -t 10.0.0.100:90 -s rr -b mh-fallback
ipvsadm -A -t 10.0.0.100:90 -b flag-1
ipvsadm -A -t 10.0.0.100:90 -s rr -b ''
ipvsadm -Ln
ipvsadm -Ln --persistent-conn
ipvsadm -Sn
# edits replace all of it
ipvsadm -E -t 10.0.0.100:84 -s rr
ipvsadm -E -t 10.0.0.100:80 -s wlc -p 99 -M 255.255.0.0
ipvsadm -E -t 10.0.0.100:89 -s rr
ipvsadm -E -u 10.0.0.100:80 -s rr
ipvsadm -E -u 10.0.0.100:81 -s rr -o
ipvsadm -E -t 10.0.0.100:80 -s wlc --pe nosuch
ipvsadm -Ln
ipvsadm -Sn
ipvsadm -C
LINES
