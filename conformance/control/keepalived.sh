# What keepalived makes of its configuration, changes at a failed check and at a reload, and takes away at its end.
# unmodified clients only
folder=$(mktemp -d)
export folder

# server ADDRESS PORT LINES: a real server, up while $folder/ADDRESS exists.
server() {
    touch "$folder/$1"
    printf ' real_server %s %s {\n%s\n  MISC_CHECK {\n   misc_path "/usr/bin/test -e %s/%s"\n   misc_timeout 30\n   delay_loop 1\n  }\n }\n' "$1" "$2" "$3" "$folder" "$1"
}

# service NAME LINES: a virtual service, its servers on standard input.
service() { printf 'virtual_server %s {\n delay_loop 1\n%s\n%s\n}\n' "$1" "$2" "$(cat)"; }

# settled: waits until there are rules, and until these have stayed the same for some rounds of the checks.
settled() {
    local same=0 before now round
    for round in $(seq 60); do
        now=$(ipvsadm -Sn)
        same=$((same + 1))
        [ -n "$now" ] && [ "$now" = "$before" ] || same=0
        [ $same -lt 4 ] || return 0
        before=$now
        sleep 1
    done
    return 1
}

# until_changed: waits until the rules are no more what $folder/before holds.
until_changed() {
    local i
    for i in $(seq 300); do
        ipvsadm -Sn | cmp -s - "$folder/before" || return 0
        sleep 0.2
    done
    return 1
}

# hangs_up, ends: what happens to keepalived.
hangs_up() { ipvsadm -Sn >"$folder/before"; kill -HUP "$(cat "$folder/main.pid")"; until_changed; settled; }
ends() { local pid; pid=$(cat "$folder/main.pid"); kill -TERM "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done; }

# fails ADDRESS, recovers ADDRESS: its check.
fails() { ipvsadm -Sn >"$folder/before"; rm "$folder/$1"; until_changed; settled; }
recovers() { ipvsadm -Sn >"$folder/before"; touch "$folder/$1"; until_changed; settled; }
export -f settled until_changed hangs_up ends fails recovers

# configuration [WEIGHT [MORE]]: writes the configuration.
configuration() {
    {
        printf 'global_defs {\n router_id test\n script_user root\n max_auto_priority -1\n lvs_timeouts tcp 500 tcpfin 50 udp 100\n}\n'
        server 10.0.0.11 80 '  weight 3' | service '10.0.0.100 80' ' lvs_sched rr
 lvs_method NAT
 protocol TCP'
        { server 10.0.0.11 81 '  weight 3
  uthreshold 100
  lthreshold 50'; server 10.0.0.12 8081 "  weight ${1:-5}
  inhibit_on_failure"; printf ' sorry_server 10.0.0.13 80\n'; } | service '10.0.0.100 81' ' lvs_sched wlc
 lvs_method NAT
 persistence_timeout 600
 persistence_granularity 255.255.255.0
 protocol TCP'
        { server 10.0.0.13 53 '  weight 1'; } | service '10.0.0.100 53' ' lvs_sched rr
 lvs_method DR
 ops
 protocol UDP'
        { server 10.0.0.13 82 '  weight 7'; [ -z "${2:-}" ] || server 10.0.0.12 82 '  weight 9'; } | service '10.0.0.100 82' ' lvs_sched sh
 sh-port
 sh-fallback
 lvs_method TUN
 protocol TCP'
        server 10.0.0.12 0 '  weight 1' | service 'fwmark 7' ' lvs_sched wrr
 lvs_method DR
 persistence_timeout 30'
        server 2001:db8::11 80 '  weight 2' | service '2001:db8::100 80' ' lvs_sched sed
 lvs_method NAT
 persistence_timeout 60
 persistence_granularity 64
 protocol TCP'
    } >"$folder/keepalived.conf"
}
export -f configuration server service
commands <<'LINES'
configuration
keepalived -n -l -f $folder/keepalived.conf -p $folder/main.pid -c $folder/checkers.pid -r $folder/vrrp.pid --no-syslog >$folder/log 2>&1 &
settled
ipvsadm -Sn
ipvsadm -Ln --thresholds
ipvsadm -L --timeout

# checks: a server goes and comes back; with inhibit_on_failure its weight is 0; without any other the sorry server serves
fails 10.0.0.11
ipvsadm -Sn
fails 10.0.0.12
ipvsadm -Sn
recovers 10.0.0.11
ipvsadm -Sn
recovers 10.0.0.12
ipvsadm -Sn

# reload
configuration 6 more
hangs_up
ipvsadm -Sn
ends
ipvsadm -Sn
grep IPVS $folder/log | sed 's/^.*: *IPVS/IPVS/' | sort -u
rm -r $folder
LINES
