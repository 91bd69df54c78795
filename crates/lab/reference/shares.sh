#!/bin/sh
# The shares that kernel IPVS gives, to check `src/expectation.rs` against. Run as root where the kernel has ip_vs, with
# `ipvsd` (the real one, which makes the lab) as first argument:
#     sh shares.sh target/debug/ipvsd
lab=$1
here=$(cd "$(dirname "$0")" && pwd)
for mode in nat dr; do
    for scheduler in rr wrr lc wlc sed nq; do
        for family in "" --ipv6; do
            for protocol in "" --udp; do
                echo "== $mode $scheduler $family $protocol"
                # shellcheck disable=SC2086 # empty options vanish
                "$lab" lab --ipvsd "$here/ipvsd" --ipvsadm "$here/ipvsadm" --mode $mode --scheduler $scheduler \
                    $family $protocol --weights 3,2,1 --requests 301 2>/dev/null | sed -n '1,/failed/p'
            done
        done
    done
done
