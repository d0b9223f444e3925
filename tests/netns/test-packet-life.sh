#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The packet plane beside others and over time: what is refused, dropped or
# left alone; ICMP errors; foreign programs; interfaces that come and go; an
# agent that is killed; nothing left behind.
# timeout: 180

set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/netns/packet.sh
. "$here/packet.sh"

netns_begin packet-life
packet_site
netns_drop_invalid node1
netns_drop_invalid node2

node1=$netns_run-node1

# Filters of somebody else, behind ours in either way of attaching.  The action
# counts what it sees; its device is down, so that it does no more.
foreign() { # DEV DIRECTION
	tc -n "$node1" filter add dev "$1" "$2" pref 7 bpf \
		bytecode '1,6 0 0 4294967295,' \
		action mirred egress mirror dev sink
}

foreign_seen() { # DEV DIRECTION
	tc -n "$node1" -s -j filter show dev "$1" "$2" | jq -s '[.[] | .[]? |
		select(.pref == 7) | .. | .packets? // empty] | add // 0'
}

# Our programs on DEV: 2 as tcx links, or 2 as filters.
ours_on() { # DEV
	local links filters d
	links=$(find "$netns_pins" -name "tc-$(ifindex_of "$1")-*" |
		wc -l)
	filters=$(for d in ingress egress; do
		tc -n "$node1" filter show dev "$1" "$d" | grep -c weir_
	done | awk '{n += $1} END {print n}')
	echo "$links $filters"
}

ifindex_of() { # DEV
	ip -n "$node1" -j link show "$1" 2>/dev/null | jq '.[0].ifindex'
}

quick() { # NS ARGS...: how long until a single unit has failed, in ms
	packet_load "$1" -n 1 --timeout 4000 "${@:2}"
	jq -s '.[-1] | if .failed == 1 then .seconds * 1000 | floor
		else 99999 end' "$netns_work/load"
}

tap_plan 57

ip -n "$node1" link add sink type veth peer name drain
tc -n "$node1" qdisc add dev p1b clsact
foreign p1b ingress
foreign p1b egress
# Would answer what weir lets through.
spawn node1 "$packet_tools/weir-echo" --name wild udp:0.0.0.0:9030 \
	>"$netns_work/wild" 2>&1
wait_until 5 grep -q ready "$netns_work/wild"
wild=$spawned
packet_start
tap_ok $? 'an agent starts beside filters of others'

# ------------------------------------------------- refused, dropped, untouched
for to in "$packet_v4:9030" "$packet_v6:9030"; do
	ms=$(quick out "tcp:$to")
	[ "$ms" -lt 500 ]
	tap_ok $? "no endpoint: $to resets at once ($ms ms)"
done
[ "$(packet_count PACKET_REFUSED)" -ge 2 ]
tap_ok $? 'and that is counted'
for ns in out p1b; do
	for to in "$packet_v4:9030" "$packet_v6:9030"; do
		before=$(packet_count PACKET_REFUSED)
		ms=$(quick $ns "udp:$to")
		[ "$ms" -lt 1000 ] &&
			[ "$(packet_count PACKET_REFUSED)" -gt "$before" ]
		tap_ok $? "no endpoint: datagrams of $ns to $to are reported"
	done
done
kill "$wild"

ip -n "$netns_run-out" route add 198.19.240.0/20 via 192.0.2.11
ip -n "$netns_run-out" route add fd77:6569:7200::/112 via 2001:db8:1::11
for to in 198.19.240.1:80 '[fd77:6569:7200::1]:80'; do
	before=$(packet_count PACKET_PREFIX_DROP)
	ms=$(quick out "tcp:$to")
	[ "$ms" -ge 3000 ] &&
		[ "$(packet_count PACKET_PREFIX_DROP)" -gt "$before" ]
	tap_ok $? "proxy prefix from outside: $to is dropped and counted"
done

spawn node1 "$packet_tools/weir-echo" --name host tcp:0.0.0.0:7777 \
	'tcp:[::]:7777' >"$netns_work/host" 2>&1
wait_until 5 test -s "$netns_work/host"
for to in 192.0.2.11:7777 '[2001:db8:1::11]:7777' '10.1.1.1:7777'; do
	packet_all "$([[ $to == 10* ]] && echo p1b || echo out)" -n 5 "tcp:$to"
	tap_ok $? "an address that is not weir's: $to is left alone"
done

# --------------------------------------------------------------- ICMP errors
for to in "$packet_v4:9040" "$packet_v6:9046"; do
	ms=$(quick out "udp:$to")
	[ "$ms" -lt 1000 ]
	tap_ok $? "a closed port behind $to is reported to the client ($ms ms)"
	ms=$(quick p1b "udp:$to")
	[ "$ms" -lt 1000 ]
	tap_ok $? "likewise to a pod ($ms ms)"
done
before=$(packet_count PACKET_ICMP)
[ "$before" -ge 4 ]
tap_ok $? 'and that is counted'
ip -n "$node1" link set p1a mtu 1300
for to in "$packet_v4:9010" "$packet_v6:9016"; do
	packet_all out -n 2 --size 60000 "tcp:$to"
	tap_ok $? "path MTU towards the endpoint of $to is learned"
done
[ "$(packet_count PACKET_ICMP)" -gt "$before" ]
tap_ok $? 'from translated errors'
ip -n "$node1" link set p1a mtu 1500

# ------------------------------------------------------------ proxy prefix
for ns in p1b p2b; do
	[ $ns = p1b ] ||
		ip -n "$netns_run-node2" route add 10.96.0.80 via 192.0.2.11
	packet_load $ns -n 20 http://10.96.0.80/
	packet_loaded '.failed == 0 and .backends.p1a == 20'
	tap_ok $? "a ClusterIP with an HTTPRoute: $ns gets its answers by the proxy"
done
[ "$(packet_count PACKET_PROXIED)" -ge 2 ]
tap_ok $? 'through the prefix'

# ------------------------------------------------------------- accounting
closed_of() {
	packet_ask stats | jq '[.refs[]] | map(.opened - .closed) | add'
}
packet_all out -n 100 -c 4 "tcp:$packet_v4:9000"
tap_ok $? 'connections that end'
closed_is_zero() {
	packet_ask stats | jq -e '[.refs[] | select(.picked_packet > 0 and
		.opened > 0)] | length > 0' >/dev/null &&
		packet_ask stats | jq -e '[.endpoints[] |
			select(.addr | test(":8080$"))] |
			map(.opened - .closed) | add <= 120' >/dev/null
}
tap_run 'are counted as opened and closed' closed_is_zero
moved_bytes() {
	packet_ask stats | jq -e '[.endpoints[] |
		select(.addr == "10.1.1.10:8080")] |
		(map(.tx_bytes) | add) > 50 * 200 and
		(map(.rx_bytes) | add) > 50 * 200' >/dev/null
}
tap_run 'with their bytes, both ways' moved_bytes

# -------------------------------------------------------------- interfaces
[ "$(ours_on p1b)" = '2 0' ]
tap_ok $? 'TCX: two links on an interface'
netns_add p1c
netns_pod 1 p1c 12
wait_until 2 test -e "$netns_pins/weir/v3/tc-$(ifindex_of p1c)-in"
tap_ok $? 'a new interface is followed'
packet_all p1c -n 10 "tcp:$packet_v4:9000"
tap_ok $? 'and served'
index=$(ifindex_of p1c)
ip -n "$node1" link set p1c down
ip -n "$node1" link set p1c name renamed
ip -n "$node1" link set renamed up
ip -n "$node1" route add 10.1.1.12/32 dev renamed
packet_all p1c -n 10 "tcp:$packet_v4:9000"
tap_ok $? 'also when it is renamed'
ip -n "$node1" link del renamed
gone() {
	! [ -e "$netns_pins/weir/v3/tc-$index-in" ] &&
		! bpftool map lookup pinned "$netns_pins/weir/v3/weir_if" key \
			$((index & 255)) $((index >> 8)) 0 0 >/dev/null 2>&1
}
wait_until 2 gone
tap_ok $? 'one that goes leaves nothing'
ip -n "$netns_run-node1" addr del 192.0.2.11/24 dev eth0
ip -n "$netns_run-node1" addr add 192.0.2.13/24 dev eth0
ip -n "$netns_run-node1" addr add 192.0.2.11/24 dev eth0
ip -n "$netns_run-node1" route add default via 192.0.2.1
ip -n "$netns_run-node1" route add 10.1.2.0/24 via 192.0.2.12
new_source() {
	[ "$(packet_peer out "$packet_v4:9060")" = \
		'[0000:0000:0000:0000:0000:ffff:c000:020d]' ]
}
wait_until 3 new_source
tap_ok $? "source translation follows the node's address"

ip -n "$node1" route flush table local proto 119
has_routes() {
	[ "$(ip -n "$node1" route show table local proto 119 | wc -l)" -eq 2 ] &&
		packet_all p1b -n 1 "tcp:$packet_v4:9000"
}
wait_until 8 has_routes
tap_ok $? 'local routes that somebody flushes come back'

# ----------------------------------------------------------------- others
[ "$(foreign_seen p1b ingress)" -gt 0 ] && [ "$(foreign_seen p1b egress)" -gt 0 ]
tap_ok $? 'filters of others still see packets behind TCX'

# ------------------------------------------------------- an agent is killed
# One connection over the whole of it, and many new ones meanwhile.
in_ns out "$packet_tools/weir-load" -c 2 -t 4 --rounds 0 --think 20 \
	"tcp:$packet_v4:9000" >"$netns_work/held" 2>&1 &
held=$!
sleep 1
packet_stop
tap_ok $? 'all processes are killed'
packet_all out -n 200 -c 4 "tcp:$packet_v4:9000"
tap_ok $? 'new connections are still served'
packet_all p1b -n 50 "udp:$packet_v6:9006"
tap_ok $? 'and datagrams'
packet_start
tap_ok $? 'a new agent adopts what is there'
packet_all out -n 50 "tcp:$packet_v4:9000"
tap_ok $? 'and serves'
wait "$held"
jq -es '.[-1] | .failed == 0' "$netns_work/held" >/dev/null ||
	sed 's/^/# /' "$netns_work/held"
jq -es '.[-1] | .failed == 0' "$netns_work/held" >/dev/null
tap_ok $? 'a connection from before outlived both'
[ "$(ours_on p1b)" = '2 0' ]
tap_ok $? 'nothing was attached twice'

# ----------------------------------------------------- clsact, and the end
packet_stop
packet_start --attach clsact
[ "$(ours_on p1b)" = '0 2' ]
tap_ok $? 'clsact can be forced: filters instead of links'
[ "$(ours_on eth0)" = '0 2' ]
tap_ok $? 'also where there was no qdisc'
packet_all p1b -n 20 "tcp:$packet_v4:9000"
tap_ok $? 'and works'
before=$(foreign_seen p1b ingress)
packet_all p1b -n 20 "tcp:$packet_v4:9000"
[ "$(foreign_seen p1b ingress)" -gt "$before" ]
tap_ok $? 'filters of others still see packets behind clsact'
packet_stop
packet_all p1b -n 20 "tcp:$packet_v4:9000"
tap_ok $? 'and lives without an agent'
packet_detach
tap_ok $? '--detach'
[ "$(ours_on p1b)" = '0 0' ] && [ "$(ours_on eth0)" = '0 0' ]
tap_ok $? 'removes our programs'
[ "$(foreign_seen p1b ingress)" -gt 0 ]
tap_ok $? 'but no filter of others'
! tc -n "$node1" qdisc show dev eth0 | grep -q clsact &&
	tc -n "$node1" qdisc show dev p1b | grep -q clsact
tap_ok $? 'nor their qdisc, but ours'
! ip -n "$node1" route show table local | grep -q 'proto 119' &&
	! ip -n "$node1" -6 route show table local | grep -q 'proto 119'
tap_ok $? 'and the local routes'
[ ! -e "$netns_pins/weir" ]
tap_ok $? 'and the pinned directory'

# ------------------------------------------------------------- a full table
# Not smaller: with some hundred elements the kernel may forget the newest, as
# each processor keeps up to 128 free ones (d4adf1c9ee77, Linux 6.16).
packet_start --max-flows 4096
packet_load p1b -n 16384 -c 4 "udp:$packet_v4:9010"
packet_loaded '.failed == 0'
tap_ok $? 'four times as many datagram flows as the table holds'
counted() { # EXPR over the sum of opened and of what is still open
	packet_ask stats | jq -e "[.refs[]] | (map(.opened) | add) as \$opened |
		(map(.opened - .closed) | add) as \$open | $1" >/dev/null
}
# Not all: an answer to a flow whose first half is gone already opens nothing.
# shellcheck disable=SC2016 # jq's variables
counted '$opened > 8192'
tap_ok $? 'are counted'
# shellcheck disable=SC2016
wait_until 30 counted '$open > 0 and $open <= 2048'
tap_ok $? 'and those that it dropped no longer as open'
packet_stop
packet_detach
tap_ok $? 'which leaves nothing either'

tap_end
