# popt's ways, unexpected words, --set, sync daemons' options, the order of checks.
. /in/lib.sh
h help
t; t -h; t --help; t -v; t --version; t -h foo; t -v foo; t -v --bogus; t -h -t
h no command
t foo; t -x; t --bogus; t -Q; t ''; t -; t --; t -- -A; t -n; t -n -L; t -t 10.0.0.1:80 -A; t foo -Ln; t -nL
h options
for x in -A=3 --add-service=3 --add-service= -Ax -A- -A-t -L- -L-n -L=n -L= -= '-L -n' --- ---L -LLn --list-- -v- -vh -vx -Cx -C- \
  -AL -LnA --list=3 --Ln -list --lis -hx; do t "$x"; done
t -L -L; t -Ln foo; t -A -Q; t -A --bogus; t -A --bogus=3; t -A -t; t -A --tcp-service; t -A --tcp-service=; t -A -t ''
t -L --numeric; t -L --numeric=3; t -L -n=3; t -L -n=; t -Ln=3; t -A -t=; t -A -t -s rr; t -A -t --; t -A -t -- 10.0.0.1:99
t -A -s -t 10.0.0.1:99; t -A -ns; t -Ans; t -A --scheduler; t -A -pt 10.0.0.1:97; t -A -p=; t -A -nZ; t -A '-?'; t '-?'; t --usage
t -L -n -Q -R; t -L -nQ; t -L --n; t -L -numeric; t -L -nx; t -L -nw; t -L --weight; t -L --w=; t -L --exact=; t -L --=; t -L --=x
t -L -=; t -L -h; t -L -v; t -L --help; t -L -C; t -L --clear; t -L --list; t -L -l; t -L --set; t -L --start-daemon master
t -L --start-daemon=master; t -L -n --stop-daemon; t -L '-é'
t -A -t10.0.0.1:80; t -A -t=10.0.0.1:81; t -A --tcp-service=10.0.0.1:82; t -At 10.0.0.1:83; t -At10.0.0.1:84 -s rr
t -A -t 10.0.0.1:85 -srr; t -A -t=10.0.0.1:86 -s=rr -p=60; t -A -p -t 10.0.0.1:87; t -A -t 10.0.0.1:88 -p -s rr
t -A -t 10.0.0.1:89 --persistent 77; t -A -p 10 -t 10.0.0.1:90; t -A -t 10.0.0.1:91 --persistent -s rr; t -A -t 10.0.0.1:92 -p -- 10
t -A -t 10.0.0.1:92 --; t -A -t 10.0.0.1:92 -op; t -A -t 10.0.0.1:92 -po; t -Ln
h set
for x in "1 2 3" "0 0 0" "1 2" "1 2 3 4" "-1 2 3" "1 -2 3" "x 2 3" "1 x 3" "1 2 x" "2678400 2678400 2678400" "2678401 1 1" \
  "1 2678401 1" "1 1 2678401" "1x 2 3" "0x10 2 3" "010 2 3" "99999999999 1 1" "+1 2 3" "1 2 3 --sort" "1 2 3 -n" "--sort 1 2 3" \
  "1 --sort 2 3" "-- 1 2 3" "-- -1 2 3" "1 0 0" "0 5 0" x "1 x" "x 2 3 4" "1 2 3 4 -n" "-n" "1 2 3 4 -b bogus"; do t --set $x; t -L --timeout; done
t --set '' 2 3; t --set ' 1' 2 3; t --set=1 2 3; t --set 1 --bogus; t --set -t 10.0.0.1:80 1 2; t foo --set 1 2; t 1 --set 2 3; t --set 1 2 -t
t --set 1 -n 2
h unexpected words
for c in -C -S -R -Z "-A -t 10.0.0.1:93" "-A" "-a -t 10.0.0.1:80 -r 10.0.0.2" -D -L "-C -n" "-L -c --stats" "-A -t 10.0.0.1:80 -n" \
  "--stop-daemon master" "-A -b bogus"; do t $c extra; t $c extra more; t $c -; t $c ''; t $c --; done
h sync daemons
for c in --start-daemon --stop-daemon; do for x in bogus '' MASTER mast; do t $c "$x"; t $c=$x; done; done
t --stop-daemon master; t --stop-daemon=backup; t --stop-daemon master --mcast-interface lo; t --start-daemon master --start-daemon backup
d() { t --start-daemon master "$@" --mcast-interface lo; }
for x in 256 -1 x '' 1x 0x10; do d --syncid "$x"; done
for x in 0 65508 65535 -1 x '' 1x; do d --sync-maxlen "$x"; done
for x in 0 65536 -1 x '' 1x http; do d --mcast-port "$x"; done
for x in 0 256 -1 x '' 1x; do d --mcast-ttl "$x"; done
for x in 10.0.0.1 2001:db8::1 x '' 224.0.0 '[ff02::1]' 225; do d --mcast-group "$x"; done
h order of checks
t -C
t -A -t 10.0.0.1 -o; t -A -t 10.0.0.1 -n; t -A -t 10.0.0.1:80 -o -n; t -A -b bogus; t -A -t 10.0.0.1:80 -b bogus -n; t -A -t 10.0.0.1 -b bogus
t -A -t 10.0.0.1:80 -o -b bogus; t -A -t 10.0.0.1:80 -n x; t -a -t 10.0.0.1:80 -r 2001:db8::1 --tun-csum
t -a -t 10.0.0.1:80 -r 2001:db8::1 --tun-csum -n; t -a -t 10.0.0.1:80 -r 2001:db8::1 x; t -a -t 10.0.0.1 -r 10.0.0.2; t -D -t 10.0.0.1
t -E -t 10.0.0.1; t -L -t 10.0.0.1; t -Z -t 10.0.0.1; t -E -t 10.0.0.1:80 -o; t -d -t 10.0.0.1:80 -r 2001:db8::1
t -a -t 10.0.0.1:80 -r 10.0.0.2 -i --tun-type gue -n; t -a -t 10.0.0.1:80 -r 2001:db8::1 -i --tun-type gue
t -A -t 10.0.0.1:80 -s rr -b x -p x; t -A -t 10.0.0.1 -M; t -A -f 1 -p -o -b bogus; t -A -t 10.0.0.1:80 --pe bogus -n; t -A -t 10.0.0.1:0 -o -b bogus
t -L -b bogus; t -C -b bogus; t -L -b bogus -s rr; t -L -b bogus x; t -a -b bogus; t --stop-daemon master -b bogus
