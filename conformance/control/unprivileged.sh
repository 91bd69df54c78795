# What a user without privileges is told: every command, and the files.
# unmodified clients only
nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"; }
export -f nobody
commands <<'LINES'
ipvsadm -A -t 10.0.0.100:80 -s rr -p 100
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11:80 -m -w 2
nobody id -u
nobody ipvsadm
nobody ipvsadm -h
nobody ipvsadm -v
nobody ipvsadm --bogus
nobody ipvsadm -Ln
nobody ipvsadm -Ln --stats
nobody ipvsadm -Ln --rate
nobody ipvsadm -Ln --timeout
nobody ipvsadm -Ln --daemon
nobody ipvsadm -Ln -t 10.0.0.100:80
nobody ipvsadm -Ln -t 10.0.0.100:81
nobody ipvsadm -Lnc
nobody ipvsadm -Sn
nobody ipvsadm -A -t 10.0.0.100:81 -s rr
nobody ipvsadm -A -t 10.0.0.100:80 -s rr
nobody ipvsadm -A -t 10.0.0.100:81 -s nosuch
nobody ipvsadm -E -t 10.0.0.100:80 -s wlc
nobody ipvsadm -E -t 10.0.0.100:81 -s wlc
nobody ipvsadm -D -t 10.0.0.100:80
nobody ipvsadm -D -t 10.0.0.100:81
nobody ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.12:80 -m
nobody ipvsadm -e -t 10.0.0.100:80 -r 10.0.0.11:80 -m -w 5
nobody ipvsadm -d -t 10.0.0.100:80 -r 10.0.0.11:80
nobody ipvsadm -d -t 10.0.0.100:80 -r 10.0.0.12:80
nobody ipvsadm -A -t [2001:db8::100]:80 -s rr
nobody ipvsadm -A -f 1 -s rr
nobody ipvsadm -Z
nobody ipvsadm -Z -t 10.0.0.100:80
nobody ipvsadm -C
nobody ipvsadm --set 1 2 3
nobody ipvsadm --start-daemon master --mcast-interface ve0
nobody ipvsadm --stop-daemon master
printf -- '-A -t 10.0.0.100:81 -s rr\n-A -t 10.0.0.100:82 -s rr\n' | nobody ipvsadm -R

# nothing has changed
ipvsadm -Sn
ipvsadm -L --timeout
ipvsadm -L --daemon

# the files are everybody's to read and root's to write
nobody cat /proc/net/ip_vs
nobody head -n 1 /proc/net/ip_vs_conn
nobody head -n 2 /proc/net/ip_vs_stats
nobody bash -c 'echo x >/proc/net/ip_vs'
nobody cat /proc/sys/net/ipv4/vs/sync_threshold
nobody bash -c 'echo 1 >/proc/sys/net/ipv4/vs/conn_reuse_mode'
nobody bash -c 'echo x >/proc/sys/net/ipv4/vs/conn_reuse_mode'
nobody bash -c 'echo 1 >/proc/sys/net/ipv4/vs/nosuch'
nobody test -w /proc/sys/net/ipv4/vs/conn_reuse_mode
nobody test -r /proc/sys/net/ipv4/vs/conn_reuse_mode
cat /proc/sys/net/ipv4/vs/conn_reuse_mode

# privileges without the user: allowed by CAP_NET_ADMIN alone
setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+net_admin,+net_raw --ambient-caps=+net_admin,+net_raw ipvsadm -A -t 10.0.0.100:83 -s rr
setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+net_admin --ambient-caps=+net_admin ipvsadm -A -t 10.0.0.100:84 -s rr
# and root without it
setpriv --inh-caps=-net_admin --bounding-set=-net_admin ipvsadm -A -t 10.0.0.100:85 -s rr
ipvsadm -Sn
LINES
