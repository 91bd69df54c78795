# Addresses, marks and options of services, good and bad.
. /in/lib.sh
a() { t -A "$@"; t -Sn; t -Ln; t -C; }
h addresses
for x in 10.0.0.1 10.0.0.1: 10.0.0.1:0 10.0.0.1:65535 10.0.0.1:65536 10.0.0.1:-1 10.0.0.1:80x 10.0.0.1:x 10.0.0.1:http 10.0.0.1:HTTP \
  10.0.0.1:domain 10.0.0.1:0x50 10.0.0.1:080 10.0.0.1:+80 '10.0.0.1: 80' 10.0.0 10 10.0 10:80 1234567890 10.0.0.256:80 10.0.0.1.2:80 \
  010.0.0.1:80 0x0a000001:80 :80 : web web:80 web:http nohost:80 web6:80 '[web6]:80' localhost:80 0.0.0.0:80 255.255.255.255:80 \
  127.0.0.1:80 224.0.0.1:80 2001:db8::1 2001:db8::1:80 '[2001:db8::1]:80' '[2001:db8::1]' '[2001:db8::1]80' '[2001:db8::1]:' \
  '[2001:db8::1]:0' '[2001:db8::1]:http' '[2001:db8::1]:65536' '[2001:db8::1' '2001:db8::1]:80' '[]:80' '[' '[10.0.0.1]:80' '[10.0.0.1]' \
  '[10.0.0.1]:x' '[web]:80' '[::ffff:10.0.0.1]:80' ::ffff:10.0.0.1 :: '[::]:80' ::1 fe80::1%lo '[fe80::1%lo]:80' 2001:db8::g 10.0.0.1:80:80 a:b \
  ' 10.0.0.1:80' '10.0.0.1:80 ' '10.0.0.1 :80' '10.0.0.1 x:80' 10.0.0.1:00080 10.0.0.1:99999999999 10.0.0.1:4294967376 '[[::1]]:80' '[::1]:80]' \
  '[10.0.0.1:90]:80' '[10.0.0.1:90]' 08.0.0.1:80 1.2.3.0x4:80 1.2.772:80 0x:80 1..2:80 1.2.3.4.:80; do a -t "$x" -p; done
a -u 10.0.0.1:domain; a -u 10.0.0.1:http; a -t 10.0.0.1:tftp; a -u 10.0.0.1:tftp; a --sctp-service 10.0.0.1:http; a --sctp-service 10.0.0.1:80
a --sctp-service 10.0.0.1:sip; a -u 10.0.0.1:sip; a -t 10.0.0.1; a -t 10.0.0.1:0; a -t '[::1]:0'; a -t ::1
h marks
for x in 1 0 -1 4294967295 4294967296 2147483648 99999999999999999999 0x10 010 1x x '' ' 1' +1 1.5 '1 '; do a -f "$x"; done
a -f 1 -6; a -6 -f 1; a -6 -t 10.0.0.1:80; a -t 10.0.0.1:80 -6; a -t ::1 -6; a -f 1 -6 -6; a -f 1 -M 64; a -f 1 -6 -M 64; a -f 1 -M 64 -6
a -f 1 -p -6 -M 64; a -f 1 -p -M 255.255.0.0 -6; a -f 1 -p -6 -M 255.255.0.0; a -M 255.255.0.0 -f 1 -p
h schedulers
for x in rr wrr lc wlc sed nq none bogus '' RR verylongschedulernamebeyond 0123456789abcde; do a -t 10.0.0.1:80 -s "$x"; done
h persistence
for x in 1 0 -1 2678400 2678401 10x x '' 0x10 010 99999999999 +5 ' 5' 5.5; do a -t 10.0.0.1:80 -p "$x"; a -t 10.0.0.1:80 -p"$x"; a -t 10.0.0.1:80 --persistent="$x"; done
h netmasks
for x in 255.255.255.0 255.255.255.255 0.0.0.0 255.0.255.0 0.0.0.255 24 255.255.255 x '' 255.255.255.256 0xffffff00 1.2.3.4; do a -t 10.0.0.1:80 -p -M "$x"; done
a -t 10.0.0.1:80 -M 255.255.255.0; a -M 255.255.255.0 -t 10.0.0.1:80 -p; a -M 64 -t '[::1]:80' -p
for x in 1 64 128 129 0 -1 x 64x '' 255.255.255.0 ffff:: 0x40 ' 64'; do a -t '[2001:db8::1]:80' -p -M "$x"; done
h one-packet scheduling
a -t 10.0.0.1:80 -o; a -u 10.0.0.1:80 -o; a -o -u 10.0.0.1:80; a -o -t 10.0.0.1:80; a -f 1 -o; a --sctp-service 10.0.0.1:80 -o; a -f 1 -p -o; a -f 1 -o -o
h persistence engines
a -u 10.0.0.1:80 -p --pe bogus; a -u 10.0.0.1:80 -p --pe ''; a -u 10.0.0.1:80 -p --pe averyverylongpersistenceengine; a -u 10.0.0.1:80 --pe sip --pe sip
h scheduler flags
for x in flag-1 flag-2 flag-3 flag-4 sh-fallback sh-port mh-fallback flag-1,flag-2,flag-3 '' flag-1, ,flag-1 'flag-1 flag-2' FLAG-1 \
  sh-fallback,bogus flag-1,sh-port flag-1,bogus flag-1,,flag-2; do a -t 10.0.0.1:80 -s rr -b "$x"; a -t 10.0.0.1:80 -b "$x"; done
for s in sh mh; do for x in flag-4 mh-port,mh-fallback sh-port,sh-fallback,bogus sh-port,mh-port; do t -L -b "$x" -s $s; done; done
h edit
t -E -t 10.0.0.1:80; t -A -t 10.0.0.1:80 -s rr -p 50 -M 255.0.0.0; t -E -t 10.0.0.1:80; t -Ln; t -A -t 10.0.0.1:80; t -E -t 10.0.0.1:80 -s bogus
t -E -t 10.0.0.1:80 -p -s lc; t -Ln; t -D -t 10.0.0.9:80; t -Z -t 10.0.0.9:80; t -Z -t 10.0.0.1:80; t -Z; t -D -t 10.0.0.1:80; t -D -t 10.0.0.1:80; t -Ln
