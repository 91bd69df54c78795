# Listings in every form, with names and without, and their order.
. /in/lib.sh
every() { for o in "" -n --stats --rate --thresholds --persistent-conn --tun-info "-n --stats" "-n --rate" "-n --thresholds" "-n --persistent-conn" \
  "-n --tun-info" "-n --exact --stats" "-n --exact --rate"; do t -L $o; done; t -S; t -Sn; t -Z; }
h names
for p in 80 443 53 8080 5060 21 0; do t -A -t 10.9.9.9:$p -p; t -A -u 10.9.9.9:$p -p; t -A --sctp-service 10.9.9.9:$p -p; done
for r in 10.9.9.10:80 127.0.0.1:443; do t -a -t 10.9.9.9:80 -r $r -m; t -a -u 10.9.9.9:53 -r $r -m; t -a --sctp-service 10.9.9.9:80 -r $r -m; done
t -A -f 7; t -a -f 7 -r 10.9.9.10:80 -m; t -a -f 7 -r 10.9.9.13:0 -m; t -A -f 7 -6 -p 60 -M 64; t -a -f 7 -6 -r '[2001:db8::99]:53' -m
every; t -C
h long names
for p in 80 8080 44444 444; do t -A -t 10.9.9.12:$p; t -A -u 10.9.9.11:$p; t -a -t 10.9.9.12:80 -r 10.9.9.12:$p -m; t -a -t 10.9.9.12:80 -r 10.9.9.11:$p -m; done
t -A -t '[2001:db8::98]:80'; t -a -t '[2001:db8::98]:80' -r '[2001:db8::98]:80' -m; t -a -t 10.9.9.12:80 -r 2001:db8::98 -i
t -A -t '[2001:db8:1234:5678:9abc:def0:1234:5678]:44433'; t -a -t '[2001:db8::98]:80' -r '[2001:db8:1234:5678:9abc:def0:1234:5678]:44433' -m
t -a -t 10.9.9.12:80 -r '[2001:db8:1234:5678:9abc:def0:1234:5678]:44433' -i
every; t -C
h big values
t -A -f 4294967295; t -A -f 3000000000 -6; t -A -t 10.1.1.1:80 -s rr -b flag-1,flag-2,flag-3 -p 30 -M 255.255.0.0; t -A -u 10.1.1.1:80 -s rr -o -b flag-1,flag-3
t -A -t 10.1.1.1:82 -M 255.255.0.0; t -A -t 200.255.255.255:65535 -s rr; V="-t 200.255.255.255:65535"
t -a $V -r 192.168.100.200:65535 -i --tun-type gue --tun-port 6080 --tun-remcsum -w 2147483647 -x 2147483647 -y 2147483646
t -a $V -r 192.168.100.201 -i --tun-type gre --tun-csum; t -a $V -r 192.168.100.202 -i --tun-type gre; t -a $V -r 192.168.100.203 -i --tun-type gue --tun-port 65535
t -a $V -r 192.168.100.204 -i --tun-type gue --tun-port 1 --tun-csum; t -a $V -r 2001:db8::5 -i; t -a $V -r 9.0.0.1 -g; t -a $V -r 127.0.0.1 -m
t -a $V -r 200.0.0.1 -g; t -a $V -r 10.77.0.1 -i
every
for s in "-t 10.9.9.9:80" "-f 7" "-f 4294967295" "-f 3000000000 -6" "-t 10.1.1.1:http" "-u 10.1.1.1:80" "$V"; do
  for o in -n "" "-n --stats" "-n --rate" "-n --thresholds" "-n --persistent-conn" "-n --tun-info" "-n --nosort" "-n --stats --exact"; do t -L $s $o; done; done
t -C
h order
for i in 5 1 9 3 100 120 127; do t -A -t $i.0.0.1:80; t -A -t 1.0.0.$i:$((i*256)); t -A -f $((i*10000000)); t -A -u 1.0.0.$i:80; t -A -t [2001:db8:$i::1]:80; t -A -f $i -6; done
t -Ln; t -Sn; t -C
t -A -t 5.0.0.1:80; t -A -t [fd00::1]:80
for i in 5 1 9 3 200 128 127; do for r in $i.0.0.$i:80 10.0.0.1:$i 10.0.0.1:$((i*256)); do t -a -t 5.0.0.1:80 -r $r -m; done
  t -a -t 5.0.0.1:80 -r 2001:db8:$i::1 -i; t -a -t [fd00::1]:80 -r [2001:db8:$i::1]:80 -m; done
t -Ln -t 5.0.0.1:80; t -Ln --nosort -t 5.0.0.1:80
for a in fd00::1 2001:db8::1 1::1 7fff::1 1:8000::1 1:1::1 1::8000:0:0:1 1::8000:0:1 1::8001 1::8000:8000; do t -a -t [fd00::1]:80 -r [2${a#?}]:80 -m; done
for a in 1 100 127 128 200 50 129; do t -a -t [fd00::1]:80 -r $a.0.0.1:80 -i; t -a -t [fd00::1]:80 -r [$(printf %x $((a+8192)))::5]:80 -i; done
t -Ln -t [fd00::1]:80; t -Ln --nosort -t [fd00::1]:80
t -L -t nohost:80; t -L -t 10.0.0.99:80 --stats; t -L -f 99
