# The persistence engine "sip": services with it, and templates by Call-ID in the listings.
commands <<'LINES'
# connections that outlive the script on a slow machine
ipvsadm --set 0 0 3000
ipvsadm -A -u 10.0.0.100:5060 -s rr -p 3000 --pe sip
ipvsadm -a -u 10.0.0.100:5060 -r 10.0.0.11:5060 -m
ipvsadm -a -u 10.0.0.100:5060 -r 10.0.0.12:50600 -m
ipvsadm -A -u [2001:db8::100]:5060 -s rr -p 3000 -M 64 --pe sip
ipvsadm -a -u [2001:db8::100]:5060 -r [2001:db8::11]:5060 -m
ipvsadm -A -t 10.0.0.100:5060 -s rr --pe sip
ipvsadm -A --sctp-service 10.0.0.100:5060 -s wlc -p 60 -M 255.255.0.0 --pe sip
ipvsadm -A -u 10.0.0.100:5061 -s rr -o -p 60 --pe sip
ipvsadm -A -u 10.0.0.100:5062 -s none -o --pe sip
ipvsadm -A -u 10.0.0.100:5063 -s rr -p 60 --pe ''
ipvsadm -A -u 10.0.0.100:5064 -s sh -p 60 -b sh-port --pe sip
ipvsadm -A -f 7 -s rr -p 60 --pe sip
# refused
ipvsadm -A -u 10.0.0.100:5065 -s rr -p 60 --pe SIP
ipvsadm -A -u 10.0.0.100:5065 -s rr -p 60 --pe sipp
ipvsadm -A -u 10.0.0.100:5065 -s rr -p 60 --pe si
ipvsadm -A -u 10.0.0.100:5065 -s rr -p 60 --pe sixteen-letters-
ipvsadm -A -u 10.0.0.100:5065 -s nosuch -p 60 --pe sip
ipvsadm -A -u 10.0.0.100:5065 -s rr -p 60 --pe sip --pe sip
ipvsadm -A -u 10.0.0.100:5065 -s rr -p 60 --pe
ipvsadm -Ln
ipvsadm -Ln --persistent-conn
ipvsadm -Ln --stats
ipvsadm -Ln --thresholds
ipvsadm -Sn
vs_proc ip_vs
LINES
# no two calls of one connection: the kernel's templates are those of new ones
messages 10.0.0.100 5060 40001 a@example.org
messages 10.0.0.100 5060 40002 a@example.org
messages 10.0.0.100 5060 40003 b@example.org
messages 10.0.0.100 5060 40004 "\"word\"-.!%*_+'~()<>:/[]?{}@[2001:db8::1]:5060"
messages 10.0.0.100 5060 40005 -
messages 10.0.0.100 5060 40006 a@example
messages 2001:db8::100 5060 40007 a@example.org
messages 10.0.0.100 5060 40003 a@example.org -
messages 10.0.0.100 5060 40008 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789
commands <<'LINES'
ipvsadm -Ln
ipvsadm -Ln --persistent-conn
ipvsadm -Ln --stats
ipvsadm -Lnc | sort -k4
ipvsadm -Lnc --persistent-conn | sort -k4
ipvsadm -Lc --persistent-conn | sort -k4
vs_proc ip_vs_conn
vs_proc ip_vs_conn_sync
# edits replace all of it; templates stay
ipvsadm -E -u 10.0.0.100:5060 -s rr -p 3000
ipvsadm -Sn | grep 10.0.0.100:5060
LINES
messages 10.0.0.100 5060 40009 a@example.org
messages 10.0.0.100 5060 40010 -
commands <<'LINES'
ipvsadm -Lnc --persistent-conn | sort -k4
ipvsadm -E -u 10.0.0.100:5060 -s rr -p 3000 --pe nosuch
ipvsadm -E -u 10.0.0.100:5060 -s rr -p 3000 --pe sip
ipvsadm -E -u 10.0.0.100:5061 -s rr --pe sip
ipvsadm -Sn | grep 10.0.0.100
LINES
messages 10.0.0.100 5060 40011 a@example.org
messages 10.0.0.100 5060 40012 -
commands <<'LINES'
ipvsadm -Lnc --persistent-conn | sort -k4
# a server goes: its calls move
ipvsadm -d -u 10.0.0.100:5060 -r 10.0.0.12:50600
LINES
messages 10.0.0.100 5060 40013 a@example.org
commands <<'LINES'
ipvsadm -Lnc --persistent-conn | sort -k4
ipvsadm -C
ipvsadm -Lnc --persistent-conn | wc -l
LINES
