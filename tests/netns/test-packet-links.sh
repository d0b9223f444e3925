#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The packet plane on links that lie above others or have no link header: a
# bridge with pods on its ports, a VLAN on a trunk, a tunnel of plain IP.  A
# packet passes two interfaces of the node there, and must be taken once.
# timeout: 120

set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/netns/packet.sh
. "$here/packet.sh"

netns_begin packet-links
packet_site

node1=$netns_run-node1

# Pods b1a (a server) and b1b on bridge cni0 of node1.
bridge_site() {
	local pod last=10
	ip -n "$node1" link add cni0 type bridge mcast_snooping 0
	ip -n "$node1" addr add 10.1.3.1/24 dev cni0
	ip -n "$node1" addr add fd01:3::1/64 dev cni0 nodad
	ip -n "$node1" link set cni0 up
	netns_add b1a b1b
	for pod in b1a b1b; do
		netns_veth node1 $pod $pod eth0
		ip -n "$node1" link set $pod master cni0
		ip -n "$netns_run-$pod" addr add 10.1.3.$last/24 dev eth0
		ip -n "$netns_run-$pod" addr add fd01:3::$last/64 dev eth0 nodad
		ip -n "$netns_run-$pod" route add default via 10.1.3.1
		ip -n "$netns_run-$pod" route add default via fd01:3::1
		last=$((last + 1))
	done
	ip -n "$netns_run-node2" route add 10.1.3.0/24 via 192.0.2.11
	ip -n "$netns_run-node2" route add fd01:3::/64 via 2001:db8:1::11
	packet_server b1a
}

# Namespace out reaches node1 by VLAN 7 of the segment as well.
vlan_site() {
	local ns last
	for ns in node1 out; do
		last=$([[ $ns == out ]] && echo 21 || echo 11)
		ip -n "$netns_run-$ns" link add link eth0 name eth0.7 \
			type vlan id 7 || return 1
		ip -n "$netns_run-$ns" addr add "203.0.113.$last/24" dev eth0.7
		ip -n "$netns_run-$ns" addr add "2001:db8:7::$last/64" \
			dev eth0.7 nodad
		ip -n "$netns_run-$ns" link set eth0.7 up
	done
}

by_vlan() {
	ip -n "$netns_run-out" route replace 198.51.100.0/24 via 203.0.113.11
	ip -n "$netns_run-out" route replace 2001:db8:100::/64 \
		via 2001:db8:7::11
	ip -n "$netns_run-out" route replace 10.96.0.80 via 203.0.113.11
}

# A tunnel without link headers to a host "far", over UDP.
tunnel_site() {
	local ns last
	netns_add far
	netns_on_lan far 31
	spawn node1 socat TUN,tun-name=tun0,tun-type=tun,iff-no-pi,iff-up \
		UDP4-DATAGRAM:192.0.2.31:5555,bind=192.0.2.11:5555
	spawn far socat TUN,tun-name=tun0,tun-type=tun,iff-no-pi,iff-up \
		UDP4-DATAGRAM:192.0.2.11:5555,bind=192.0.2.31:5555
	for ns in node1 far; do
		last=$([[ $ns == far ]] && echo 2 || echo 1)
		wait_until 5 ip -n "$netns_run-$ns" link set tun0 mtu 1400 \
			2>/dev/null || return 1
		ip -n "$netns_run-$ns" addr add "10.9.0.$last/24" dev tun0
		ip -n "$netns_run-$ns" addr add "fd09::$last/64" dev tun0 nodad
	done
	ip -n "$netns_run-far" route add 198.51.100.0/24 via 10.9.0.1
	ip -n "$netns_run-far" route add 2001:db8:100::/64 via fd09::1
	ip -n "$netns_run-far" route add 10.1.1.0/24 via 10.9.0.1
	ip -n "$netns_run-far" route add fd01:1::/64 via fd09::1
	packet_server far
}

served() { # TEXT NS BACKEND URL
	packet_load "$2" -n 20 -c 4 "$4"
	packet_loaded ".failed == 0 and .backends.$3 == 20"
	tap_ok $? "$1: $2 to $4"
}

entries() {
	bpftool map dump pinned "$netns_pins/weir/v3/weir_flow" 2>/dev/null |
		grep -c '"to"'
}

# One new TCP connection makes two entries, not four.
two_entries() { # TEXT NS URL
	local before after
	before=$(entries)
	packet_load "$2" -n 1 "$3"
	after=$(entries)
	[ $((after - before)) -eq 2 ]
	tap_ok $? "$1: one connection, $((after - before)) entries"
}

tap_plan 46

# ------------------------------------------------------------------ bridge
bridge_site
packet_start
for proto in tcp udp; do
	for to in "$packet_v4:9070" "$packet_v6:9076"; do
		served 'bridge, same bridge' b1b b1a "$proto:$to"
		served 'bridge, hairpin' b1a b1a "$proto:$to"
		served 'bridge, from outside' out b1a "$proto:$to"
		served 'bridge, from a routed pod' p1b b1a "$proto:$to"
	done
	for to in "$packet_v4:9010" "$packet_v6:9016"; do
		served 'bridge, to a routed pod' b1b p1a "$proto:$to"
	done
	for to in "$packet_v4:9020" "$packet_v6:9026"; do
		served 'bridge, to another node' b1b p2a "$proto:$to"
	done
done
two_entries 'bridge' b1b "tcp:$packet_v4:9010"
served 'bridge, by the proxy prefix' b1b p1a http://10.96.0.80/
packet_load b1b -n 1 --timeout 4000 "tcp:$packet_v4:9030"
jq -es '.[-1] | .failed == 1 and .seconds < 0.5' "$netns_work/load" >/dev/null
tap_ok $? 'bridge: refused at once'
in_ns b1b ip route add 198.19.240.0/20 via 10.1.3.1 2>/dev/null
before=$(packet_count PACKET_PREFIX_DROP)
packet_load b1b -n 1 --timeout 500 tcp:198.19.240.1:80
packet_loaded '.failed == 1' &&
	[ "$(packet_count PACKET_PREFIX_DROP)" -gt "$before" ]
tap_ok $? 'bridge: the proxy prefix stays closed'

# A port that leaves its bridge is an interface like any other.
index=$(ip -n "$node1" -j link show b1b | jq '.[0].ifindex')
pin=$netns_pins/weir/v3/tc-$index
[ ! -e "$pin-in" ] && [ -e "$pin-out" ]
tap_ok $? 'bridge: a port has the way back alone'
ip -n "$node1" link set b1b nomaster
wait_until 2 test -e "$pin-in"
tap_ok $? 'bridge: it gets the way in when it leaves'
ip -n "$node1" link set b1b master cni0
is_port() {
	[ ! -e "$pin-in" ] && [ -e "$pin-out" ]
}
wait_until 2 is_port
tap_ok $? 'bridge: and loses it when it returns'
packet_stop
packet_start --attach clsact
served 'bridge, clsact' b1b b1a "tcp:$packet_v4:9070"
two_entries 'bridge, clsact' b1b "tcp:$packet_v4:9010"
packet_stop
packet_start

# -------------------------------------------------------------------- VLAN
if vlan_site 2>/dev/null; then
	by_vlan
	wait_until 2 test -e "$netns_pins/weir/v3/tc-$(ip -n "$node1" -j \
		link show eth0.7 | jq '.[0].ifindex')-in"
	served 'VLAN' out p1a "tcp:$packet_v4:9010"
	served 'VLAN' out p1a "udp:$packet_v6:9016"
	served 'VLAN, to another node' out p2a "tcp:$packet_v4:9020"
	served 'VLAN, by the proxy prefix' out p1a http://10.96.0.80/
	two_entries 'VLAN' out "tcp:$packet_v6:9016"
else
	for _ in 1 2 3 4 5; do
		tap_skip 'VLAN' 'this kernel has no VLANs'
	done
fi

# ------------------------------------------------------------------ tunnel
if tunnel_site; then
	wait_until 2 test -e "$netns_pins/weir/v3/tc-$(ip -n "$node1" -j \
		link show tun0 | jq '.[0].ifindex')-in"
	for proto in tcp udp; do
		served 'tunnel, from behind it' far p1a "$proto:$packet_v4:9010"
		served 'tunnel, from behind it' far p1a "$proto:$packet_v6:9016"
		served 'tunnel, to behind it' p1b far "$proto:$packet_v4:9080"
	done
	served 'tunnel, to behind it' p1b far "tcp:$packet_v6:9086"
	packet_load far -n 1 --timeout 4000 "tcp:$packet_v4:9030"
	jq -es '.[-1] | .failed == 1 and .seconds < 0.5' \
		"$netns_work/load" >/dev/null
	tap_ok $? 'tunnel: refused at once'
else
	for _ in 1 2 3 4 5 6 7 8; do
		tap_skip 'tunnel' 'no TUN devices'
	done
fi
tap_end
