# Adding, editing and deleting virtual services: every check and its message.
commands <<'LINES'
# nothing there yet
ipvsadm -Ln
ipvsadm -Ln -t 10.0.0.100:80
ipvsadm -Sn
ipvsadm -C
ipvsadm -D -t 10.0.0.100:80
ipvsadm -E -t 10.0.0.100:80 -s rr
ipvsadm -Z -t 10.0.0.100:80
ipvsadm -Z

# adding, one of each scheduler
ipvsadm -A -t 10.0.0.100:80 -s rr
ipvsadm -A -t 10.0.0.100:81 -s wrr
ipvsadm -A -t 10.0.0.100:82 -s lc
ipvsadm -A -t 10.0.0.100:83 -s wlc
ipvsadm -A -t 10.0.0.100:84 -s sed
ipvsadm -A -t 10.0.0.100:85 -s nq
ipvsadm -A -t 10.0.0.100:86
ipvsadm -A -u 10.0.0.100:80 -s rr
ipvsadm -A --sctp-service 10.0.0.100:80 -s rr
ipvsadm -Ln

# duplicates, also with another scheduler
ipvsadm -A -t 10.0.0.100:80 -s rr
ipvsadm -A -t 10.0.0.100:80 -s wrr
ipvsadm -A -u 10.0.0.100:80
ipvsadm -A --sctp-service 10.0.0.100:80

# unknown schedulers
ipvsadm -A -t 10.0.0.100:90 -s nosuch
ipvsadm -A -t 10.0.0.100:90 -s RR
ipvsadm -A -t 10.0.0.100:90 -s averyveryverylongname
ipvsadm -E -t 10.0.0.100:80 -s nosuch
ipvsadm -E -t 10.0.0.100:99 -s nosuch
ipvsadm -A -t 10.0.0.100:80 -s nosuch
ipvsadm -A -t 10.0.0.100:91 -s none
ipvsadm -Ln -t 10.0.0.100:91
ipvsadm -D -t 10.0.0.100:91

# editing
ipvsadm -E -t 10.0.0.100:80 -s wlc
ipvsadm -Ln -t 10.0.0.100:80
ipvsadm -E -t 10.0.0.100:80 -s rr -p 100
ipvsadm -Ln -t 10.0.0.100:80
ipvsadm -E -t 10.0.0.100:80 -s rr
ipvsadm -Ln -t 10.0.0.100:80
ipvsadm -E -t 10.0.0.100:80
ipvsadm -Ln -t 10.0.0.100:80
ipvsadm -E -u 10.0.0.100:81 -s rr
ipvsadm -E -t 10.0.0.99:80 -s rr

# odd addresses: any address may be virtual (listed one by one: ipvsadm's order of services is not an order over
# addresses further apart than 2^31)
ipvsadm -A -t 0.0.0.0:80 -s rr
ipvsadm -A -t 255.255.255.255:80 -s rr
ipvsadm -A -t 224.0.0.1:80 -s rr
ipvsadm -A -t 127.0.0.1:80 -s rr
ipvsadm -A -t 10.0.0.100:65535 -s rr
ipvsadm -Ln -t 0.0.0.0:80
ipvsadm -Ln -t 255.255.255.255:80
ipvsadm -Ln -t 224.0.0.1:80
ipvsadm -Ln -t 127.0.0.1:80
ipvsadm -D -t 0.0.0.0:80
ipvsadm -D -t 255.255.255.255:80
ipvsadm -D -t 224.0.0.1:80
ipvsadm -D -t 127.0.0.1:80
ipvsadm -D -t 10.0.0.100:65535

# deleting: exact identity
ipvsadm -D -t 10.0.0.100:79
ipvsadm -D -u 10.0.0.100:81
ipvsadm -D -t 10.0.0.100:80
ipvsadm -D -t 10.0.0.100:80
ipvsadm -Ln -t 10.0.0.100:80
ipvsadm -D --sctp-service 10.0.0.100:80
ipvsadm -Ln
ipvsadm -C
ipvsadm -Ln
ipvsadm
LINES
