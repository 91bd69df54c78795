# Counters over edits, deletion, revival and zeroing, with UDP traffic of the client.
commands <<'LINES'
# connections that outlive the script on a slow machine
ipvsadm --set 0 0 3000
ipvsadm -A -u 10.0.0.100:53 -s rr
ipvsadm -a -u 10.0.0.100:53 -r 10.0.0.11:53 -m
ipvsadm -a -u 10.0.0.100:53 -r 10.0.0.12:5353 -m
LINES
datagrams 6 10.0.0.100 53
commands <<'LINES'
# six datagrams over two servers
ipvsadm -Ln
ipvsadm -Ln --stats
# counters are kept over edits
ipvsadm -E -u 10.0.0.100:53 -s wlc
ipvsadm -e -u 10.0.0.100:53 -r 10.0.0.11:53 -g -w 0
ipvsadm -Ln --stats
ipvsadm -Ln
# and over deletion and revival
ipvsadm -d -u 10.0.0.100:53 -r 10.0.0.12:5353
ipvsadm -Ln --stats
ipvsadm -a -u 10.0.0.100:53 -r 10.0.0.12:5353 -m -w 4
ipvsadm -Ln --stats
ipvsadm -Ln
ipvsadm -Ln --persistent-conn
ipvsadm -Ln --thresholds
LINES
datagrams 4 10.0.0.100 53 100
commands <<'LINES'
# all to the one with a weight
ipvsadm -Ln --stats
ipvsadm -Ln
# the service deleted and added again: its counters start anew, and so do the revived destination's
ipvsadm -D -u 10.0.0.100:53
ipvsadm -A -u 10.0.0.100:54 -s rr
ipvsadm -A -u 10.0.0.100:55 -s rr
ipvsadm -A -u 10.0.0.100:53 -s rr
ipvsadm -a -u 10.0.0.100:53 -r 10.0.0.12:5353 -m
ipvsadm -Ln --stats
ipvsadm -Ln
LINES
datagrams 3 10.0.0.100 53
commands <<'LINES'
ipvsadm -Ln --stats
ipvsadm -Z -u 10.0.0.100:54
ipvsadm -Ln --stats
ipvsadm -Z -u 10.0.0.100:53
ipvsadm -Ln --stats
ipvsadm -Ln
LINES
datagrams 1 10.0.0.100 53
commands <<'LINES'
ipvsadm -Ln --stats
ipvsadm -Z
ipvsadm -Ln --stats
# thresholds: two connections at most
ipvsadm -A -u 10.0.0.100:56 -s rr
ipvsadm -a -u 10.0.0.100:56 -r 10.0.0.11:53 -m -x 2
ipvsadm -a -u 10.0.0.100:56 -r 10.0.0.13:53 -g
LINES
datagrams 8 10.0.0.100 56
commands <<'LINES'
ipvsadm -Ln -u 10.0.0.100:56
ipvsadm -Ln -u 10.0.0.100:56 --stats
# no usable destination
ipvsadm -d -u 10.0.0.100:56 -r 10.0.0.13:53
ipvsadm -d -u 10.0.0.100:56 -r 10.0.0.13:56
LINES
datagrams 2 10.0.0.100 56
commands <<'LINES'
ipvsadm -Ln -u 10.0.0.100:56 --stats
# one connection in the connections' listing
ipvsadm -A -u 10.0.0.100:57 -s rr
ipvsadm -a -u 10.0.0.100:57 -r 10.0.0.11:5757 -m
LINES
datagrams 1 10.0.0.100 57
commands <<'LINES'
ipvsadm -Lnc | grep '10.0.0.100:57 '
ipvsadm -A -u [2001:db8::100]:53 -s rr
ipvsadm -a -u [2001:db8::100]:53 -r [2001:db8::11]:53 -m
LINES
datagrams 2 2001:db8::100 53
commands <<'LINES'
ipvsadm -Ln -u [2001:db8::100]:53 --stats
ipvsadm -Lnc | grep 2001 | sort -k4
ipvsadm -Lnc --persistent-conn | grep '10.0.0.100:57 '
# connections stay when everything else goes
ipvsadm -C
ipvsadm -Lnc | grep '10.0.0.100:57 '
ipvsadm -Ln --stats
LINES
