# Helpers of the conformance scripts. A script runs as root in a network namespace of its own, on the reference kernel
# and with ipvsd alike; CLIENT names a second namespace, the other end of the link ve0.

# commands < LINES: runs each line with bash; prints it, its output (o|), its errors (e|) and its exit code.
commands() {
    local line out err rc
    out=$(mktemp) err=$(mktemp)
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in '') echo; continue ;; '#'*) echo "$line"; continue ;; esac
        rc=0
        bash -c "$line" >"$out" 2>"$err" </dev/null || rc=$?
        printf '$ %s\n' "$line"
        sed 's/^/  o| /' "$out"
        sed 's/^/  e| /' "$err"
        [ "$rc" = 0 ] || echo "  rc=$rc"
    done
    rm -f "$out" "$err"
}

# on_client CMD...: runs a command at the other end of the link.
on_client() { ip netns exec "$CLIENT" "$@"; }

# datagrams N ADDRESS PORT [BYTES]: N UDP datagrams from the client, from ports 40001, 40002, … (each so far unused, so
# each a new connection), of BYTES (default 12) bytes of payload. Then waits until the counters shown are those of after
# them: the kernel refreshes what it shows every 2 s.
next_port=40001
datagrams() {
    local last=$((next_port + $1 - 1))
    on_client bash -c '
        payload=$(printf "%0*d" "$5" 0)
        for port in $(seq "$1" "$2"); do
            # The stack chooses the source port: leave it one.
            sysctl -qw net.ipv4.ip_local_port_range="$port $port"
            printf %s "$payload" >"/dev/udp/$3/$4"
        done' - "$next_port" "$last" "$2" "$3" "${4:-12}"
    next_port=$((last + 1))
    sleep 2.5
}

# link: makes the link to the client's namespace. This end: ve0, 10.0.0.1/24, 2001:db8::1/64, and the virtual addresses
# 10.0.0.100 and 2001:db8::100; the other end: 10.0.0.2, 2001:db8::2. Servers 10.0.0.11 to .13 (and ::11 to ::13) have
# permanent neighbour entries and swallow what they get.
link() {
    local i
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
    ip link set lo up
    ip link add ve0 address 02:00:00:00:00:01 type veth peer name ve1 netns "$CLIENT" address 02:00:00:00:00:02
    on_client sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
    ip addr add 10.0.0.1/24 dev ve0
    ip addr add 10.0.0.100/32 dev ve0
    ip -6 addr add 2001:db8::1/64 dev ve0 nodad
    ip -6 addr add 2001:db8::100/128 dev ve0 nodad
    ip link set ve0 up
    on_client ip link set lo up
    on_client ip addr add 10.0.0.2/24 dev ve1
    on_client ip -6 addr add 2001:db8::2/64 dev ve1 nodad
    on_client ip link set ve1 up
    for i in 11 12 13; do
        ip neigh replace "10.0.0.$i" lladdr 02:00:00:00:00:02 dev ve0 nud permanent
        ip neigh replace "2001:db8::$i" lladdr 02:00:00:00:00:02 dev ve0 nud permanent
    done
    on_client ping -c1 -W2 10.0.0.1 >/dev/null 2>&1 || true
    on_client ping -c1 -W2 2001:db8::1 >/dev/null 2>&1 || true
}
