# The cost of control: restoring, listing, one change, clearing. Prints `NAME MICROSECONDS` per line. SERVICES and SERVERS (per
# service) give the size; ipvsadm is the one in the PATH. Runs alike with ipvsd and on the reference kernel.
microseconds() { echo $((${EPOCHREALTIME/[.,]/} - $1)); }
start() { echo "${EPOCHREALTIME/[.,]/}"; }

# rules SERVICES: what -R reads.
rules() {
    awk -v services="$1" -v servers="$SERVERS" 'BEGIN {
        for (i = 0; i < services; i++) {
            service = sprintf("10.%d.%d.%d:80", i / 65536, i / 256 % 256, i % 256)
            print "-A -t " service " -s wlc"
            for (j = 0; j < servers; j++) printf "-a -t %s -r 192.168.%d.%d:8080 -m -w %d\n", service, j, i % 256, j + 1
        }
    }'
}

# size NAME SERVICES CHANGES
size() {
    local file at i
    file=$(mktemp)
    rules "$2" >"$file"
    at=$(start)
    ipvsadm -R <"$file" || exit 1
    echo "$1-restore $(microseconds "$at")"
    at=$(start)
    [ "$(ipvsadm -Ln | grep -c Masq)" = $(($2 * SERVERS)) ] || { echo "not everything was restored" >&2; exit 1; }
    echo "$1-list $(microseconds "$at")"
    at=$(start)
    for ((i = 0; i < $3; i++)); do
        ipvsadm -e -t 10.0.0.5:80 -r 192.168.1.5:8080 -m -w $((i + 2)) || exit 1
    done
    echo "$1-change $(($(microseconds "$at") / $3))"
    at=$(start)
    ipvsadm -C
    echo "$1-clear $(microseconds "$at")"
    rm -f "$file"
}

size small 10 50
size large "$SERVICES" 50
