# Options of real servers, good and bad.
. /in/lib.sh
s() { t -A -t 10.0.0.1:80; t -A -t '[2001:db8::1]:80'; t -A -f 1; t -A -f 1 -6; t -A -u 10.0.0.1:53; }
# b: adds a server, shows it, begins anew
b() { t -a "$@"; t -Sn; t -C; s; }
s
h addresses
for x in 10.0.0.2 10.0.0.2:8080 10.0.0.2:0 10.0.0.2:http 10.0.0.2:65536 10.0.0.2: '' : :80 web web:81 nohost 123 '[2001:db8::2]:80' 2001:db8::2 \
  '[10.0.0.2]:80' '[10.0.0.2]' '[web]:80' '10.0.0.2 x' '10.0.0.2 :80' '10.0.0.2: ' 0.0.0.0 224.0.0.1 255.255.255.255 127.0.0.1; do
  t -a -t 10.0.0.1:80 -r "$x" -m; t -a -t 10.0.0.1:80 -r "$x" -i; t -Sn; t -C; s; done
for x in 2001:db8::2 '[2001:db8::2]:8080' '[2001:db8::2]' 10.0.0.2 10.0.0.2:8080 ::1 ff02::1 fe80::1; do
  for m in -m -g -i; do t -a -t '[2001:db8::1]:80' -r "$x" $m; done; t -Sn; t -C; s; done
for x in 10.0.0.2 10.0.0.2:8080 2001:db8::2 '[2001:db8::2]:8080'; do for m in -m -g -i; do t -a -f 1 -r "$x" $m; t -a -f 1 -6 -r "$x" $m; done; t -Sn; t -C; s; done
b -r 10.0.0.2:8080 -m -t 10.0.0.1:80; b -r 10.0.0.2 -m -t 10.0.0.1:80; b -r 10.0.0.2:http -u 10.0.0.1:53; b -u 10.0.0.1:53 -r 10.0.0.2:tftp -m
b -u 10.0.0.1:53 -r 10.0.0.2:http -m; b -r 10.0.0.2:tftp -m -u 10.0.0.1:53; b -f 1 -r 10.0.0.2:tftp -m; b -f 1 -r 10.0.0.2:http -m; t -a -t 10.0.0.9:80 -r 10.0.0.2
B="-t 10.0.0.1:80 -r 10.0.0.2"
h forwarding methods
b $B -g -i; b $B -m -m; b $B -gm; b $B --gatewaying; b $B --ipip; b $B --masquerading; b $B
h weights and thresholds
for x in 0 65536 2147483647 2147483648 4294967295 -1 '' x 1x 0x10 010 ' 5' +5 1.5 99999999999999999999; do t -a $B -m -w "$x"; t -a $B:81 -m -x "$x"
  t -a $B:82 -m -x 2147483647 -y "$x"; t -a $B:83 -y "$x"; t -Sn; t -Ln --thresholds; t -C; s; done
b $B -w 1 -w 2; b $B -x 1 -x 2; b $B -y 1 -y 2; b $B -x 5 -y 6; b $B --weight=7 --u-threshold 10 --l-threshold=3
h tunnels
for m in -i -m ''; do for x in ipip gue gre bogus ''; do b $B $m --tun-type "$x"; done; done
for p in 0 1 65535 65536 -1 x '' 1x http +5 ' 5' 0x10; do b $B -i --tun-type gue --tun-port "$p"; done
for o in "--tun-type gue --tun-port 5 --tun-remcsum" "--tun-type gue --tun-port 5 --tun-csum" "--tun-type gue --tun-port 5 --tun-csum --tun-nocsum" \
  "--tun-type gue --tun-port 5 --tun-csum --tun-remcsum" "--tun-type gue --tun-port 5 --tun-nocsum --tun-remcsum" "--tun-type gre --tun-csum" \
  "--tun-type gre --tun-nocsum" "--tun-type gre --tun-remcsum" "--tun-type gre --tun-port 5" "--tun-type gre --tun-csum --tun-nocsum" \
  "--tun-type ipip --tun-port 5" "--tun-type ipip --tun-csum" "--tun-type ipip --tun-nocsum" "--tun-type ipip --tun-remcsum" "--tun-port 5" --tun-csum \
  --tun-nocsum --tun-remcsum "--tun-csum --tun-csum" "--tun-csum --tun-type gre" "--tun-port 5 --tun-type gue" "--tun-type gue --tun-type gue --tun-port 5" \
  "--tun-type gue --tun-port 5 --tun-port 6" "--tun-type gre --tun-csum --tun-remcsum" "--tun-type gre --tun-port 5 --tun-remcsum" \
  "--tun-type ipip --tun-csum --tun-port 5" "--tun-type gue --tun-port 5 --tun-csum --tun-nocsum --tun-remcsum" "--tun-nocsum --tun-csum --tun-remcsum" \
  "--tun-type gue --tun-csum --tun-nocsum"; do t -a $B -i $o; t -Sn; t -Ln --tun-info; t -C; s; done
h edits
t -e $B -i --tun-type gue; t -e $B; t -d $B; t -d $B:99; t -a $B -m; t -a $B -m; t -a $B:81 -m; t -e $B:81 -g; t -Sn; t -e $B:81 -m -w 9; t -d $B:81
t -d -t 10.0.0.1:80 -r 2001:db8::2; t -e -t 10.0.0.1:80 -r 2001:db8::2; t -Sn; t -d $B; t -d $B; t -a -t 10.0.0.1:80 -r 2001:db8::2 -i
t -d -t 10.0.0.1:80 -r 2001:db8::2; t -d -t 10.0.0.7:80 -r 10.0.0.2; t -e -t 10.0.0.7:80 -r 10.0.0.2; t -Sn
