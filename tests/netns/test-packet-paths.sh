#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The packet plane between real sockets on two nodes whose FORWARD chains drop
# what conntrack cannot place: every way a packet can take, with TCX, clsact,
# XDP and past the stack.
# timeout: 240

set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/netns/packet.sh
. "$here/packet.sh"

netns_begin packet-paths
packet_site
netns_drop_invalid node2

# From everywhere (p1a is an endpoint itself: hairpin; p2b reaches node1 from
# another node) to local and remote endpoints, either protocol and version.
every_way() { # MODE
	local ns proto to
	for ns in out p1b p1a p2b; do
		for proto in tcp udp; do
			for to in "$packet_v4:9000" "$packet_v6:9006"; do
				packet_load "$ns" -n 40 -c 4 "$proto:$to"
				# Each CPU counts for itself.
				packet_loaded '.failed == 0 and
					.backends.p1a >= 16 and
					.backends.p2a >= 16'
				tap_ok $? "$1: $ns to both endpoints, $proto $to"
			done
		done
	done
}

# The client's own address wherever the answer passes this node anyway.
client_address() { # MODE
	local ns to want
	while read -r ns to want; do
		[ "$(packet_peer "$ns" "$to")" = "$want" ]
		tap_ok $? "$1: the server of $to sees $ns as $want"
	done <<-EOR
		out $packet_v4:9050 [0000:0000:0000:0000:0000:ffff:c000:0215]
		out $packet_v6:9056 [2001:0db8:0001:0000:0000:0000:0000:0021]
		p1b $packet_v4:9060 [0000:0000:0000:0000:0000:ffff:0a01:010b]
		p1b $packet_v6:9066 [fd01:0001:0000:0000:0000:0000:0000:0011]
		out $packet_v4:9060 [0000:0000:0000:0000:0000:ffff:c000:020b]
		out $packet_v6:9066 [2001:0db8:0001:0000:0000:0000:0000:0011]
	EOR
}

# One client port, two frontends, one endpoint: the endpoint must see two
# connections.  Then a third, straight to the endpoint.
one_port() { # MODE NS BIND PORT FRONTEND-A FRONTEND-B ENDPOINT
	local to pids='' n=0 out
	for to in "$5" "$6" "$7"; do
		n=$((n + 1))
		out=$netns_work/port-$n
		(
			sleep 1
			echo "line $n"
			sleep 0.5
		) | in_ns "$2" socat -t1 - \
			"TCP:$to,bind=$3:$4,reuseaddr,connect-timeout=2" \
			>"$out" 2>&1 &
		pids="$pids $!"
		sleep 0.2
	done
	# shellcheck disable=SC2086
	wait $pids
	n=0
	for to in "$5" "$6" "$7"; do
		n=$((n + 1))
		[ "$(tail -n 1 "$netns_work/port-$n")" = "line $n" ]
		tap_ok $? "$1: connection $n from port $4 of $2, to $to"
	done
}

more_ways() { # MODE PORT
	packet_all out -n 4 --size 60000 "tcp:$packet_v4:9000"
	tap_ok $? "$1: payload over many segments, IPv4"
	packet_all out -n 4 --size 60000 "tcp:$packet_v6:9006"
	tap_ok $? "$1: payload over many segments, IPv6"
	packet_all out -n 8 --size 4000 "udp:$packet_v4:9000"
	tap_ok $? "$1: fragmented datagrams, IPv4"
	packet_all out -n 8 --size 4000 "udp:$packet_v6:9006"
	tap_ok $? "$1: fragmented datagrams, IPv6"
	packet_all p1b -n 8 --size 4000 "udp:$packet_v4:9000"
	tap_ok $? "$1: fragmented datagrams of a pod"
	one_port "$1" p1b 10.1.1.11 "$2" "$packet_v4:9020" "$packet_v4:9021" \
		10.1.2.10:8080
	one_port "$1" out '[2001:db8:1::21]' "$2" "$packet_v6:9026" \
		"$packet_v6:9027" "$packet_v6:9016"
}

# Nothing of TCP or UDP that weir sends past netfilter may look wrong to it.
nothing_invalid() { # MODE
	local node n
	for node in node1 node2; do
		n=$(in_ns "$node" nft -j list chain inet guard forward |
			jq '[.. | .counter? // empty | .packets] | add')
		[ "$n" -eq 0 ]
		tap_ok $? "$1: conntrack of $node places every packet ($n not)"
	done
}

tap_plan $((2 * 35 + 2 * 27 + 1))

packet_start
packet_all out -n 8 --size 4000 "udp:$packet_v4:9000"
tap_ok $? 'fragments where nothing defragments before the routing decision'
netns_drop_invalid node1
every_way tcx
client_address tcx
more_ways tcx 5001
nothing_invalid tcx
packet_stop

packet_start --attach clsact
every_way clsact
client_address clsact
more_ways clsact 5002
nothing_invalid clsact
packet_stop

packet_start --xdp eth0
every_way xdp
more_ways xdp 5003
packet_stop

packet_start --redirect
every_way redirect
more_ways redirect 5004
packet_stop

tap_end
