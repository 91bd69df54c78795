# The network around the scripts of this folder: 10.0.0.1/24 and 2001:db8::1/64 on ve0, another interface with a larger
# MTU, default routes. Run as root in a namespace of its own.
sysctl -qw net.ipv6.conf.default.accept_dad=0
ip link set lo up
ip link add ve0 type veth peer name ve1
ip link add big mtu 9000 type veth peer name big1
ip addr add 10.0.0.1/24 dev ve0
ip -6 addr add 2001:db8::1/64 dev ve0 nodad
ip addr add 10.1.0.1/24 dev big
for link in ve0 ve1 big big1; do ip link set "$link" up; done
ip route add default via 10.0.0.2
ip -6 route add default via 2001:db8::2
