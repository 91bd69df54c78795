# The settings of /proc/sys/net/ipv4/vs: what a write means, what each accepts, what a refused write leaves.
if [ -z "${IPVSD_SOCKET:-}" ]; then
    # Their settings come with the modules.
    modprobe ip_vs_lblc
    modprobe ip_vs_lblcr
fi
commands <<'LINES'
# all but sync_qlen_max, which depends on the memory
for name in am_droprate amemthresh backup_only cache_bypass conn_reuse_mode conntrack drop_entry drop_packet expire_nodest_conn expire_quiescent_template ignore_tunneled lblc_expiration lblcr_expiration nat_icmp_send pmtu_disc run_estimation schedule_icmp secure_tcp sloppy_sctp sloppy_tcp snat_reroute sync_persist_mode sync_ports sync_refresh_period sync_retries sync_sock_size sync_threshold sync_version; do echo "$name = $(vs_get $name)"; done

# how a number is read
vs_try amemthresh 1 $'2\n' '' $'\n' ' ' $' \n' ' 3' $'\t4' $'\v5' $'\f6' $'\r7' '8 ' $'9\t' $'10\r' $'11\v' '12 x' '13 14' '15x' 'x16' '17,18' 1.9 $'20\n21\n'
vs_try amemthresh -1 +1 --1 '- 1' -0 - -x '1-' 0x10 0X1F 0x 0xg 010 08 0b1 00 -0x10 -010
vs_try amemthresh 2147483647 2147483648 -2147483648 -2147483649 4294967295 4294967297 9223372036854775808 18446744073709551615 18446744073709551616
vs_try amemthresh 00000000000000000001 000000000000000000001 0000000000000000000001 ' 0000000000000000000001' '00000000000000000001 ' '000000000000000000001 ' '0000000000000000000001 ' -00000000000000000001 -000000000000000000001 '-0000000000000000001 ' '-00000000000000000001 '

# every other setting
for name in am_droprate backup_only cache_bypass conn_reuse_mode conntrack expire_nodest_conn expire_quiescent_template; do echo $name; vs_try $name 0 1 -1 2147483647 2147483648 '5 6'; done
for name in ignore_tunneled nat_icmp_send pmtu_disc run_estimation schedule_icmp sloppy_sctp sloppy_tcp snat_reroute sync_persist_mode sync_sock_size; do echo $name; vs_try $name 0 1 -1 2147483647 2147483648 '5 6'; done
for name in drop_entry drop_packet secure_tcp; do echo $name; vs_try $name 0 1 2 3 4 -1 2147483648 x '3 6'; done
for name in sync_version sync_retries; do echo $name; vs_try $name 0 1 2 3 4 -1 x '1 6'; done
vs_try sync_ports 0 1 2 3 4 5 8 32 64 128 65536 1073741824 -1 -2 -2147483648 x '4 3'
for name in lblc_expiration lblcr_expiration sync_refresh_period; do echo $name; vs_try $name 0 1 -1 8589934 8589935 -8589934 -8589935 2147483647 2147483648 '5 6' 5x 0x10; done

# two numbers: those before one that is refused count
vs_try sync_threshold 0 1 49 50 51 -1 '0 0' '5 0' '3 50' '3 4' '3 3' '50 3' '3 -1' '-1 3' $'3\t60' $'3\n61\n' '3 62 9' '3 63x' '4 x' '60 x' '-1 x' '3x 64' '5 4294967296' '6 -' '2147483646 2147483647' '2147483647 0' x ''

# an unsigned long
vs_set sync_qlen_max 4096
vs_try sync_qlen_max 0 1 -1 -0 +1 2147483648 4294967296 9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616 0x10 010 08 2x '2 x' ' 2' '' $'\n' 0000000000000000001 00000000000000000001 000000000000000000001 0000000000000000000001

# nothing has such a name
vs_set no_such_setting 1 2>/dev/null

# the defence settings are rewritten by what memory there is
vs_set amemthresh 2147483647
vs_set drop_entry 1
vs_set drop_packet 1
vs_set secure_tcp 2
vs_set drop_entry 2
vs_set drop_entry 3
vs_set drop_packet 0
vs_set amemthresh 1024
sleep 2.5
vs_get drop_entry
vs_get drop_packet
vs_get secure_tcp
vs_set drop_packet 2
vs_set secure_tcp 0
vs_set drop_entry 0

# rates stand still without estimation
vs_set run_estimation 0
ipvsadm -A -u 10.0.0.100:53 -s rr
ipvsadm -a -u 10.0.0.100:53 -r 10.0.0.11:53 -m
LINES
datagrams 40 10.0.0.100 53
commands <<'LINES'
ipvsadm -Ln --rate
LINES
