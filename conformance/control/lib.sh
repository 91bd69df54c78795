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

# messages ADDRESS PORT FROM CALL...: a SIP message of each call from the client's port FROM, `-` for one without Call-ID. Then
# waits as datagrams does.
messages() {
    on_client python3 -c '
import socket, sys
address, port, source, *calls = sys.argv[1:]
with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as out:
    out.bind(("", int(source)))
    for call in calls:
        header = "" if call == "-" else f"Call-ID: {call}\r\n"
        out.sendto(f"OPTIONS sip:a@b SIP/2.0\r\n{header}CSeq: 1 OPTIONS\r\n\r\n".encode(), (address, int(port)))
' "$@"
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

# The three below read and write what the kernel shows in /proc.

# without_files: whether the files of IPVS are not there. The kernel has them, and `ipvsd exec`; else ipvsd's commands show
# the same.
without_files() { [ ! -e /proc/net/ip_vs ]; }

# vs_get NAME: a setting of /proc/sys/net/ipv4/vs.
vs_get() {
    if without_files; then ipvsd sysctl -n "$1"; else
        local value
        value=$(<"/proc/sys/net/ipv4/vs/$1") && printf '%s\n' "$value"
    fi
}

# vs_set NAME TEXT: writes TEXT to a setting in one piece; prints why it was refused, and then its value.
vs_set() {
    local said reason
    if without_files; then
        said=$(ipvsd sysctl "$1=$2" 2>&1 >/dev/null)
    else
        # In a subshell: bash would write what it could not again.
        said=$( (printf %s "$2" >"/proc/sys/net/ipv4/vs/$1") 2>&1)
    fi
    for reason in 'Invalid argument' 'No such file or directory' 'Operation not permitted'; do
        [[ $said != *"$reason"* ]] || echo "$reason"
    done
    vs_get "$1"
}

# vs_try NAME TEXT...: vs_set of each, one line each, setting it back to what it was in between.
vs_try() {
    local name=$1 before said text
    before=$(vs_get "$name")
    shift
    for text; do
        said=$(vs_set "$name" "$text")
        printf '%q: %s\n' "$text" "${said//$'\n'/; }"
        if without_files; then
            ipvsd sysctl "$name=$before" >/dev/null
        else
            printf %s "$before" >"/proc/sys/net/ipv4/vs/$name"
        fi
    done
}

# vs_proc NAME: a file of /proc/net. Services and connections come in an order of their own (the kernel's differs from
# boot to boot): they are sorted. Which processor counted what is chance too: their rows are added up. Rates depend on
# the moment: R stands for each.
vs_proc() {
    if without_files; then ipvsd show proc "$1"; else cat "/proc/net/$1"; fi | case $1 in
    ip_vs) awk '/^  -> [^R]/ { printf "\001%s", $0; next } { printf("%s%s", (NR > 1) ? "\n" : "", $0) } END { print "" }' |
        { head_lines 3; LC_ALL=C sort | tr '\001' '\n'; } ;;
    ip_vs_conn | ip_vs_conn_sync) head_lines 1; LC_ALL=C sort ;;
    ip_vs_stats) rates ;;
    ip_vs_stats_percpu) add_processors | rates ;;
    *) cat ;;
    esac
}

# head_lines N: copies the first N lines of its input and leaves the rest.
head_lines() {
    local line i
    for ((i = 0; i < $1; i++)); do IFS= read -r line && printf '%s\n' "$line"; done
}

# rates: R for each number of the line after the titles of rates.
rates() { sed -E '/Conns\/s/{n;s/( *)[0-9A-F]+/\1R/g}'; }

# add_processors: the rows of processors of ip_vs_stats_percpu as one, titled "sum" (in decimal).
add_processors() {
    local line row i sum=(0 0 0 0 0) done=
    while IFS= read -r line; do
        if [[ -z $done && $line =~ ^\ *[0-9A-F]+(\ +[0-9A-F]+){5}$ ]]; then
            read -ra row <<<"$line"
            for i in 0 1 2 3 4; do sum[i]=$((sum[i] + 16#${row[i + 1]})); done
            continue
        fi
        [[ $line != *~* ]] || { echo "sum ${sum[*]}"; done=1; }
        printf '%s\n' "$line"
    done
}

export -f without_files vs_get vs_set vs_try vs_proc head_lines rates add_processors
