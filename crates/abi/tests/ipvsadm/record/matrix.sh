# Every command with every option: alone, and where the command's needs are met.
. /in/lib.sh
options=(-n -c "-t 10.0.0.1:81" "-u 10.0.0.1:80" "--sctp-service 10.0.0.1:80" "-f 1" "-s rr" -p "-p 10" "-M 255.255.255.0"
  "-r 10.0.0.2" -g -i -m "-w 1" "-x 1" "-y 1" "--mcast-interface lo" --timeout --daemon --stats --rate --thresholds
  --persistent-conn --nosort --sort "--syncid 1" --exact -X -6 -o "--pe sip" "-b flag-1" "--mcast-group 224.0.0.81"
  "--mcast-port 1" "--mcast-ttl 1" "--sync-maxlen 1000" --tun-info "--tun-type ipip" "--tun-port 1" --tun-nocsum --tun-csum
  --tun-remcsum)
h commands alone
for c in -A -E -D -C -L -l -a -e -d -S -R -Z --set --start-daemon --stop-daemon --add-service --edit-service --delete-service \
  --clear --list --add-server --edit-server --delete-server --save --restore --zero; do t $c; done
h one option
for c in -A -E -D -C -a -e -d -L -S -R -Z "--set 1 2 3" "--stop-daemon master"; do for o in "${options[@]}"; do t $c $o; done; t -C; done
h one more option
for o in "${options[@]}"; do t -C; t -A -t 10.0.0.1:80 $o; t -C; t -A -t 10.0.0.1:80; t -E -t 10.0.0.1:80 $o; t -Z -t 10.0.0.1:80 $o
  t -L -t 10.0.0.1:80 $o; t -a -t 10.0.0.1:80 -r 10.0.0.9 $o; t -e -t 10.0.0.1:80 -r 10.0.0.9 $o; t -Sn
  t -d -t 10.0.0.1:80 -r 10.0.0.9 $o; t -D -t 10.0.0.1:80 $o; done
h pairs of listings
t -C; t -A -t 10.0.0.1:80
some="-c --timeout --daemon --stats --rate --thresholds --persistent-conn --tun-info --nosort --exact"
for x in $some; do for y in $some; do t -Ln $x $y; done; done
t -L -c --timeout --daemon; t -L --daemon --timeout -t 10.0.0.1:80; t -L -c --timeout -t 10.0.0.1:80
t -L --stats --rate --thresholds --persistent-conn --tun-info; t -L --timeout --stats -t 10.0.0.1:80; t -L -c --stats -t 10.0.0.1:80
t -L -c --stats -s rr; t -L --nosort --sort; t -L --sort --nosort; t -L --sort --sort; t -L --syncid 256; t -L --syncid x
h the first illegal one decides
all=(-n -c "-t 10.0.0.1:80" "-s rr" -p "-M 255.255.255.0" "-r 10.0.0.2" -m "-w 1" "-x 1" "-y 1" "--mcast-interface lo" --timeout
  --daemon --stats --rate --thresholds --persistent-conn --nosort "--syncid 1" --exact -o "--pe sip" "-b flag-1"
  "--mcast-group 224.0.0.1" "--mcast-port 1" "--mcast-ttl 1" "--sync-maxlen 1" --tun-info "--tun-type gue" "--tun-port 1"
  --tun-nocsum --tun-csum --tun-remcsum)
for i in "${!all[@]}"; do rest=; for ((j=${#all[@]}-1; j>=i; j--)); do rest+=" ${all[$j]}"; done; t -C $rest; done
h twice
for o in "${all[@]}"; do t -L $o $o; done
