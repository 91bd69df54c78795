# Synchronisation daemons: starting, showing and stopping them.
commands <<'LINES'
ipvsadm -L --daemon
ipvsadm -ln --daemon
ipvsadm --stop-daemon master
ipvsadm --stop-daemon backup

ipvsadm --start-daemon master --mcast-interface ve0
ipvsadm -L --daemon
ipvsadm --start-daemon master --mcast-interface ve0 --syncid 3
ipvsadm --start-daemon backup --mcast-interface ve0 --syncid 7
ipvsadm -L --daemon
ipvsadm -L --daemon --exact
ipvsadm --stop-daemon master
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --stop-daemon backup --syncid 9
ipvsadm -L --daemon

# the interface
ipvsadm --start-daemon master
ipvsadm --start-daemon master --mcast-interface nosuch0
ipvsadm --start-daemon backup --mcast-interface nosuch0
ipvsadm --start-daemon master --mcast-interface ''
ipvsadm --start-daemon master --mcast-interface averyveryverylongname0
ip link add down0 type veth peer name down1
ipvsadm --start-daemon master --mcast-interface down0
ipvsadm --start-daemon backup --mcast-interface down0
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --stop-daemon backup
ipvsadm --start-daemon master --mcast-interface down0 --mcast-group ff02::81
ipvsadm --start-daemon backup --mcast-interface down0 --mcast-group ff02::81
ipvsadm -L --daemon
ipvsadm --stop-daemon backup
# up, without an address
ip link set down0 up
ip -6 addr flush dev down0
ipvsadm --start-daemon master --mcast-interface down0
ipvsadm --start-daemon backup --mcast-interface down0
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --stop-daemon backup
ipvsadm --start-daemon master --mcast-interface down0 --mcast-group ff02::81
ipvsadm --start-daemon backup --mcast-interface down0 --mcast-group ff02::81
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --stop-daemon backup
ipvsadm --start-daemon master --mcast-interface ve0:1
ipvsadm -L --daemon
ipvsadm --start-daemon master --mcast-interface lo
ipvsadm --start-daemon backup --mcast-interface lo
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --stop-daemon backup

# groups
ipvsadm --start-daemon master --mcast-interface ve0 --mcast-group 239.1.2.3
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --start-daemon master --mcast-interface ve0 --mcast-group 10.0.0.2
ipvsadm --start-daemon master --mcast-interface ve0 --mcast-group 0.0.0.0
ipvsadm --start-daemon master --mcast-interface ve0 --mcast-group ff02::81
ipvsadm --start-daemon backup --mcast-interface ve0 --mcast-group ff02::81
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --stop-daemon backup
ipvsadm --start-daemon master --mcast-interface ve0 --mcast-group ff05::1234:5678 --mcast-port 9999 --mcast-ttl 3
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --start-daemon master --mcast-interface ve0 --mcast-group 2001:db8::2
ipvsadm --start-daemon master --mcast-interface ve0 --mcast-group nonsense

# numbers
ipvsadm --start-daemon master --mcast-interface ve0 --syncid 255 --mcast-port 65535 --mcast-ttl 255 --sync-maxlen 65507
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --start-daemon master --mcast-interface ve0 --sync-maxlen 1
ipvsadm --start-daemon backup --mcast-interface ve0 --sync-maxlen 1
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --stop-daemon backup
ipvsadm --start-daemon master --mcast-interface ve0 --sync-maxlen 1473
ipvsadm --start-daemon backup --mcast-interface ve0 --sync-maxlen 1023
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --stop-daemon backup
ipvsadm --start-daemon master --mcast-interface ve0 --sync-maxlen 65507 --mcast-group ff02::81
ipvsadm --start-daemon backup --mcast-interface ve0 --sync-maxlen 65507 --mcast-group ff02::81
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --stop-daemon backup
ip link set ve0 mtu 9000
ipvsadm --start-daemon master --mcast-interface ve0
ipvsadm --start-daemon backup --mcast-interface ve0
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --stop-daemon backup
ip link set ve0 mtu 1300
ipvsadm --start-daemon master --mcast-interface ve0
ipvsadm --start-daemon backup --mcast-interface ve0
ipvsadm -L --daemon
ipvsadm --stop-daemon master
ipvsadm --stop-daemon backup
ip link set ve0 mtu 1500
ipvsadm --start-daemon master --mcast-interface ve0 --syncid 256
ipvsadm --start-daemon master --mcast-interface ve0 --syncid -1
ipvsadm --start-daemon master --mcast-interface ve0 --sync-maxlen 0
ipvsadm --start-daemon master --mcast-interface ve0 --sync-maxlen 65508
ipvsadm --start-daemon master --mcast-interface ve0 --mcast-port 0
ipvsadm --start-daemon master --mcast-interface ve0 --mcast-port 65536
ipvsadm --start-daemon master --mcast-interface ve0 --mcast-ttl 0
ipvsadm --start-daemon master --mcast-interface ve0 --mcast-ttl 256
ipvsadm --start-daemon both --mcast-interface ve0
ipvsadm --start-daemon --mcast-interface ve0
ipvsadm --stop-daemon both
ipvsadm --stop-daemon
ipvsadm --stop-daemon master --mcast-interface ve0

# destinations of another family are refused while one runs
ipvsadm -A -t 10.0.0.100:80 -s rr
ipvsadm --start-daemon backup --mcast-interface ve0
ipvsadm -a -t 10.0.0.100:80 -r [2001:db8::11]:80 -i
ipvsadm --stop-daemon backup
ipvsadm -a -t 10.0.0.100:80 -r [2001:db8::11]:80 -i
ipvsadm -L --daemon
LINES
