# Weights and thresholds at and over their limits.
commands <<'LINES'
ipvsadm -A -t 10.0.0.100:80 -s wlc

# weights
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11 -m -w 0
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.12 -m -w 65535
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.13 -m -w 65536
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.14 -m -w 2147483647
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.15 -m -w 2147483648
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.15 -m -w 4294967295
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.15 -m -w 99999999999999999999
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.15 -m -w -1
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.15 -m -w -2147483648
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.15 -m -w abc
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.15 -m -w 1x
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.15 -m -w 0x10
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.15 -m -w ''
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.16 -m -w 007
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.17 -m -w +5
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.11 -m -w -1
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.11 -m -w 100
ipvsadm -Ln

# thresholds
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.11 -m -x 10 -y 5
ipvsadm -Ln --thresholds
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.11 -m -x 5 -y 10
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.11 -m -x 5 -y 5
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.11 -m -y 1
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.11 -m -x 0 -y 0
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.11 -m -x 2147483647 -y 2147483647
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.12 -m -x 2147483648
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.12 -m -x -1
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.12 -m -x 10 -y -1
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.12 -m -x 1k
ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.99 -m -x 5 -y 10
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.12 -m -x 5 -y 10
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.19 -m -x 5 -y 10
ipvsadm -a -t 10.0.0.101:80 -r 10.0.0.19 -m -x 5 -y 10
ipvsadm -a -t 10.0.0.100:80 -r 224.0.0.1 -m -w 1 -x 5 -y 10
ipvsadm -Ln --thresholds
ipvsadm -Sn

# ports
ipvsadm -A -t 10.0.0.100:65536 -s rr
ipvsadm -A -t 10.0.0.100:-1 -s rr
ipvsadm -A -t 10.0.0.100:0 -s rr
ipvsadm -A -t 10.0.0.100: -s rr
ipvsadm -A -t 10.0.0.100 -s rr
ipvsadm -A -t 10.0.0.100:0 -s rr -p 60
ipvsadm -a -t 10.0.0.100:0 -r 10.0.0.11:0 -m
ipvsadm -a -t 10.0.0.100:0 -r 10.0.0.12:80 -m
ipvsadm -a -t 10.0.0.100:0 -r 10.0.0.13:80 -g
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.20:0 -m
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.20:65536 -m
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.20:x -m
ipvsadm -Ln
ipvsadm -Sn
LINES
