# Persistence and one-packet scheduling with UDP traffic of the client: templates in the listings, thresholds, quiescent
# and deleted servers.
commands <<'LINES'
# connections that outlive the script on a slow machine
ipvsadm --set 0 0 3000
ipvsadm -A -u 10.0.0.100:53 -s rr -p 3000
ipvsadm -a -u 10.0.0.100:53 -r 10.0.0.11:53 -m
ipvsadm -a -u 10.0.0.100:53 -r 10.0.0.12:5353 -m
LINES
datagrams 3 10.0.0.100 53
commands <<'LINES'
# one client, one server
ipvsadm -Ln
ipvsadm -Ln --persistent-conn
ipvsadm -Ln --stats
ipvsadm -Lnc | sort -k4
# a server of weight 0 keeps its clients
ipvsadm -e -u 10.0.0.100:53 -r 10.0.0.12:5353 -m -w 0
LINES
datagrams 1 10.0.0.100 53
commands <<'LINES'
ipvsadm -Ln --persistent-conn
# deleted, its client moves, and the template that is out of use stays for its connections
ipvsadm -d -u 10.0.0.100:53 -r 10.0.0.12:5353
LINES
datagrams 1 10.0.0.100 53
commands <<'LINES'
ipvsadm -Ln --persistent-conn
ipvsadm -Lnc | sort -k4
# added again
ipvsadm -a -u 10.0.0.100:53 -r 10.0.0.12:5353 -m
ipvsadm -Ln --persistent-conn
LINES
datagrams 1 10.0.0.100 53
commands <<'LINES'
ipvsadm -Ln --persistent-conn
# all ports, by network; an overloaded server takes its own clients
ipvsadm -C
ipvsadm -A -u 10.0.0.100:0 -s wlc -p 3000 -M 255.255.255.0
ipvsadm -a -u 10.0.0.100:0 -r 10.0.0.11 -m -x 1
LINES
datagrams 2 10.0.0.100 153
datagrams 1 10.0.0.100 154
commands <<'LINES'
ipvsadm -Ln --persistent-conn
ipvsadm -Ln --thresholds
ipvsadm -Lnc | grep ':15[34]\|:0 ' | sort -k4
# IPv6, by prefix
ipvsadm -A -u [2001:db8::100]:53 -s rr -p 3000 -M 64
ipvsadm -a -u [2001:db8::100]:53 -r [2001:db8::11]:53 -m
ipvsadm -a -u [2001:db8::100]:53 -r [2001:db8::12]:53 -m
LINES
datagrams 2 2001:db8::100 53
commands <<'LINES'
ipvsadm -Ln -u [2001:db8::100]:53 --persistent-conn
ipvsadm -Lnc | grep 2001 | sort -k4
# one packet at a time
ipvsadm -A -u 10.0.0.100:54 -s rr -o
ipvsadm -a -u 10.0.0.100:54 -r 10.0.0.11:54 -m
ipvsadm -a -u 10.0.0.100:54 -r 10.0.0.12:54 -m
LINES
datagrams 5 10.0.0.100 54
commands <<'LINES'
ipvsadm -Ln -u 10.0.0.100:54
ipvsadm -Ln -u 10.0.0.100:54 --stats
ipvsadm -Lnc | grep '10.0.0.100:54 '
# one packet at a time to one server for a client
ipvsadm -E -u 10.0.0.100:54 -s rr -o -p 3000
LINES
datagrams 3 10.0.0.100 54
commands <<'LINES'
ipvsadm -Ln -u 10.0.0.100:54 --stats
ipvsadm -Ln -u 10.0.0.100:54 --persistent-conn
ipvsadm -Lnc | grep '10.0.0.100:54 '
LINES
