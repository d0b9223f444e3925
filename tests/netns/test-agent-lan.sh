#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Agents that share a LAN and no API server: who answers for an address is a
# flag (--announce).  What answers is the program, whatever the kernel's sysctls
# say; both IP versions; a host on the LAN reaches the address.
# timeout: 120

set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/netns/agent.sh
. "$here/agent.sh"

netns_begin agent-lan
netns_two_nodes
agent_dir=$netns_work/manifests
mkdir -p "$agent_dir"
tap_plan 24

vip4=192.0.2.200
vip6=2001:db8:1::c8
cat >"$agent_dir/gateway.yaml" <<END
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: weir}
spec: {controllerName: weir.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  gatewayClassName: weir
  addresses:
  - {type: IPAddress, value: $vip4}
  - {type: IPAddress, value: "$vip6"}
  listeners: [{name: http, port: 80, protocol: HTTP}]
END

use() { # NODE-NUMBER: the agent that agent_* speak to
	agent_ns=node$1
	agent_log=$netns_work/agent$1.log
	agent_sock=$netns_work/admin$1.sock
	agent_pins=$netns_pins/n$1
	mkdir -p "$agent_pins" "$netns_cgroup/n$1"
}
agent_flags() {
	echo --manifests "$agent_dir" --netns "/run/netns/$netns_run-$agent_ns" \
		--cgroup "$netns_cgroup/n${agent_ns#node}" --pin-dir "$agent_pins" \
		--admin "$agent_sock" --metrics none
}
stop() { # NODE-NUMBER
	use "$1"
	agent_parent=$(agent_pid parent)
	kill "$agent_parent"
	wait_until 5 not alive "$agent_parent"
}
not() {
	! "$@"
}
alive() { # PID
	netns_is_alive "$1"
}
mac() { # NODE-NUMBER
	ip -n "$netns_run-node$1" -j link show eth0 | jq -r '.[0].address'
}
who_has() { # ADDRESS [OPTION...]
	local address=$1
	shift
	in_ns out "$agent_tools/weir-who-has" -c 5 -i 60 "$@" eth0 "$address"
}
# Each of five questions is answered once, by that node.
answered_by() { # NODE-NUMBER ADDRESS
	local got
	got=$(who_has "$2")
	jq -e --arg mac "$(mac "$1")" \
		'.single == 5 and .repeated == 0 and .answers == {($mac): 5}' <<<"$got" >/dev/null &&
		return
	echo "# $2: $got, node $1 is $(mac "$1")"
	return 1
}
# Asks all the time from here on, until watched.
watch() { # ADDRESS
	local file=$netns_work/watch-$1
	rm -f "$file.asks"
	spawn out "$agent_tools/weir-who-has" -c 0 -i 100 eth0 "$1" \
		>"$file" 2>"$file.asks"
	eval "watch_${1//[:.]/_}=$spawned"
	wait_until 5 grep -qs asking "$file.asks" || sed 's/^/# /' "$file.asks"
}
watched() { # ADDRESS EXPR: true of all that it saw, $mac is node NODE's
	local pid=watch_${1//[:.]/_} file=$netns_work/watch-$1
	kill "${!pid}"
	wait_until 5 test -s "$file"
	jq -es --arg mac "$(mac "$3")" ".[0] | .asked >= 1 and ($2)" \
		"$file" >/dev/null && return
	sed 's/^/# /' "$file"
	return 1
}
silent() { # ADDRESS
	local got
	got=$(who_has "$1")
	jq -e '.silent == 5' <<<"$got" >/dev/null && return
	echo "# $1: $got"
	return 1
}
count() { # COUNTER
	agent_ask stats | jq ".counters.$1"
}
serves() { # ADDRESS: 404 of the Gateway, as it has no routes
	[ "$(in_ns out curl -s -m 3 -o /dev/null -w '%{http_code}' \
		"http://$1/")" = 404 ]
}
proxies() { # NODE-NUMBER
	ip -n "$netns_run-node$1" -6 neigh show proxy
}
is_member() { # NODE-NUMBER: of the solicited-node group of vip6
	in_ns "node$1" ip maddr show dev eth0 | grep -q 'ff02::1:ff00:c8$'
}

# The way through node1 is for other tests: here both are on the LAN.
ip -n "$netns_run-out" neigh flush all

use 1
agent_start
use 2
agent_start --announce never
for vip in "$vip4" "$vip6"; do
	answered_by 1 "$vip"
	tap_ok $? "$vip: one node answers every question once"
done
for vip in "$vip4" "[$vip6]"; do
	serves "$vip"
	tap_ok $? "$vip: a host on the LAN is served"
done
is_member 1 && ! is_member 2
tap_ok $? 'who answers hears the multicast group, the other does not'
[ "$(count LAN_ANSWERED)" = 0 ] && [ "$(count LAN_ELSEWHERE)" -ge 10 ]
tap_ok $? 'the other one counts what it does not answer'
use 1
[ "$(count LAN_ANSWERED)" -ge 10 ] && [ "$(count LAN_CLAIMED)" = 0 ]
tap_ok $? 'who answers counts it'

# IPVS with strictARP has it so; no kernel of these nodes would answer.
in_ns node1 sysctl -qw net.ipv4.conf.all.arp_ignore=1 \
	net.ipv4.conf.all.arp_announce=2
answered_by 1 "$vip4"
tap_ok $? 'arp_ignore=1: answered as well'
in_ns node1 sysctl -qw net.ipv4.conf.all.arp_ignore=0 \
	net.ipv4.conf.all.arp_announce=0
# Where the kernel itself would be a proxy for neighbours, nobody answers twice.
in_ns node1 sysctl -qw net.ipv6.conf.all.proxy_ndp=1
answered_by 1 "$vip6"
tap_ok $? 'proxy_ndp=1: answered once'
in_ns node1 sysctl -qw net.ipv6.conf.all.proxy_ndp=0

# What is routed to the other node is served there; it may not tell the LAN on
# its way back that the address is its own.
ip -n "$netns_run-out" route add $vip4/32 via 192.0.2.12
ip -n "$netns_run-out" -6 route add $vip6/128 via 2001:db8:1::12
# The node is known to the host, which so does not ask, and not the other way.
ip -n "$netns_run-out" neigh replace 192.0.2.12 dev eth0 nud permanent \
	lladdr "$(mac 2)"
watch "$vip4"
ip -n "$netns_run-node2" neigh flush all
serves "$vip4" && serves "[$vip6]"
tap_ok $? 'what is routed to the other node is served there'
# (The one that answers may still be at its three announcements.)
watched "$vip4" '.multiple == 0 and .silent == 0 and
	(.answers | keys) == [$mac] and (.told | keys) - [$mac] == []' 1
tap_ok $? 'which tells the LAN nothing'
use 2
[ "$(count LAN_RENAMED)" -ge 1 ]
tap_ok $? 'its question for the way back bore its own name'
ip -n "$netns_run-out" route del $vip4/32 via 192.0.2.12
ip -n "$netns_run-out" -6 route del $vip6/128 via 2001:db8:1::12

# The other way round, with another flag; the LAN is told.
watch "$vip4"
watch "$vip6"
stop 1
use 1
agent_start --announce never
silent "$vip4" && silent "$vip6"
tap_ok $? 'where no node is to answer, none does'
stop 2
use 2
agent_start
for vip in "$vip4" "$vip6"; do
	watched "$vip" '.multiple == 0 and .told[$mac] >= 1' 2
	tap_ok $? "$vip: the other one tells the LAN, and none answers beside it"
done
answered_by 2 "$vip4" && answered_by 2 "$vip6"
tap_ok $? 'it answers'

# A MAC address that changes is told as well.
watch "$vip4"
ip -n "$netns_run-node2" link set eth0 address 02:00:00:00:00:77
sees_mac() {
	who_has "$vip4" | jq -e --arg mac "$(mac 2)" \
		'(.answers | keys) == [$mac]' >/dev/null
}
wait_until 5 sees_mac
tap_ok $? 'another MAC address is answered with'
sleep 2.5 # it is said three times, a second apart: all of them
watched "$vip4" '.told[$mac] >= 2' 2
tap_ok $? 'and told'

# The node's own address is its kernel's business.
own() {
	use 1
	agent_ask status | jq -e --arg a "$vip4" \
		'.addresses[] | select(.address == $a) | .of_node' >/dev/null
}
not_own() {
	! own
}
for dev in lo eth0; do
	ip -n "$netns_run-node1" addr add $vip4/32 dev $dev
	wait_until 5 own
	tap_ok $? "an address of $dev is left to the kernel"
	ip -n "$netns_run-node1" addr del $vip4/32 dev $dev
	wait_until 5 not_own
	tap_ok $? 'and no longer when it has gone'
done

# Off: as without weir.
stop 1
use 1
agent_start --announce off
[ -z "$(proxies 1)" ] && in_ns out "$agent_tools/weir-who-has" -c 3 -i 60 \
	eth0 "$vip4" | jq -e '.multiple == 3' >/dev/null
tap_ok $? 'off: the kernel answers for a local address, beside the other node'
stop 2
use 2
"$agent_bin" --detach --netns "/run/netns/$netns_run-node2" \
	--pin-dir "$agent_pins" >/dev/null 2>&1
[ -z "$(proxies 2)" ]
tap_ok $? 'what is detached hears no group'
tap_end
