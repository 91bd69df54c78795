# Adding, editing, deleting and reviving destinations.
commands <<'LINES'
# no service
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11:80 -m
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.11:80 -m
ipvsadm -d -t 10.0.0.100:80 -r 10.0.0.11:80
ipvsadm -A -t 10.0.0.100:80 -s rr
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.11:80 -m
ipvsadm -d -t 10.0.0.100:80 -r 10.0.0.11:80

# adding, by each method
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11:80 -m
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11:8080 -m
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.12 -g
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.13:80 -i
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.14:9999 -g
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.15
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.16 -m -w 5
ipvsadm -Ln
ipvsadm -Ln -t 10.0.0.100:80
ipvsadm -Ln -t 10.0.0.100:80 --nosort

# duplicates, also with other settings
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11:80 -m
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11:80 -g -w 7
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.12:80 -m

# editing
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.11:80 -m -w 9
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.12:80 -m -w 2
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.13:80 -g
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.99:80 -g
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.11:81 -m
ipvsadm -Ln

# deleting
ipvsadm -d -t 10.0.0.100:80 -r 10.0.0.11:81
ipvsadm -d -t 10.0.0.100:80 -r 10.0.0.11:80
ipvsadm -d -t 10.0.0.100:80 -r 10.0.0.11:80
ipvsadm -d -t 10.0.0.100:80 -r 10.0.0.12
ipvsadm -d -t 10.0.0.101:80 -r 10.0.0.12
ipvsadm -Ln

# adding again: revived with the new settings, at the head of the list
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11:80 -g -w 4
ipvsadm -Ln -t 10.0.0.100:80 --nosort
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.12:80 -m -w 0 -x 10 -y 3
ipvsadm -Ln --thresholds
ipvsadm -D -t 10.0.0.100:80
ipvsadm -Ln
ipvsadm -A -t 10.0.0.100:80 -s wlc
ipvsadm -Ln
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11:80 -m -w 6
ipvsadm -Ln

# the same real server in several services
ipvsadm -A -u 10.0.0.100:80 -s rr
ipvsadm -A -t 10.0.0.100:81 -s rr
ipvsadm -a -u 10.0.0.100:80 -r 10.0.0.11:80 -m
ipvsadm -a -t 10.0.0.100:81 -r 10.0.0.11:80 -m
ipvsadm -Ln
ipvsadm -d -u 10.0.0.100:80 -r 10.0.0.11:80
ipvsadm -Ln
ipvsadm -C
ipvsadm -Ln
LINES
