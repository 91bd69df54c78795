# Timeouts, zero and flush.
commands <<'LINES'
ipvsadm -Ln --timeout
ipvsadm --set 100 50 20
ipvsadm -Ln --timeout
ipvsadm --set 0 0 30
ipvsadm -Ln --timeout
ipvsadm --set 0 0 0
ipvsadm -Ln --timeout
ipvsadm --set 1 1 1
ipvsadm -Ln --timeout
ipvsadm --set 2678400 2678400 2678400
ipvsadm -Ln --timeout
ipvsadm --set 900 120 300
ipvsadm -Ln --timeout

ipvsadm -Z
ipvsadm -A -t 10.0.0.100:80 -s rr
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11 -m
ipvsadm -Z
ipvsadm -Z -t 10.0.0.100:80
ipvsadm -Z -u 10.0.0.100:80
ipvsadm --zero --tcp-service 10.0.0.100:80
ipvsadm -Ln --stats
ipvsadm -C
ipvsadm -C
ipvsadm --clear
ipvsadm -Ln
ipvsadm -Ln --timeout
LINES
