#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The running agent on one of two nodes: clients outside, in pods and on the
# node itself; endpoints in pods here and on the other node; both IP versions;
# a firewall that drops what conntrack cannot place.
# timeout: 120
# shellcheck disable=SC2119 # agent_start without flags

set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/netns/agent.sh
. "$here/agent.sh"

netns_begin agent-nodes
netns_two_nodes
netns_drop_invalid node1
agent_ns=node1
agent_dir=$netns_work/manifests
agent_log=$netns_work/agent.log
agent_sock=$netns_work/admin.sock
mkdir -p "$agent_dir"

for pod in p1a p2a; do
	spawn "$pod" "$agent_tools/weir-echo" --name "$pod" \
		http:0.0.0.0:8080 tcp:0.0.0.0:8070 udp:0.0.0.0:5353 \
		"http:[::]:8080" "tcp:[::]:8070" "udp:[::]:5353" \
		>"$netns_work/$pod" 2>&1
	wait_until 5 test -s "$netns_work/$pod"
done

# For each family F (4, 6) a Gateway gwF and a Service appF of a pod here and a
# pod there.  One Service of both would have the relay carry a client of one
# family to endpoints of the other.
family() { # F ADDRESS-TYPE FRONTEND ENDPOINT ENDPOINT
	cat <<-EOM
		---
		apiVersion: gateway.networking.k8s.io/v1
		kind: Gateway
		metadata: {name: gw$1, namespace: default}
		spec:
		  gatewayClassName: weir
		  addresses: [{type: IPAddress, value: "$3"}]
		  listeners:
		  - {name: http, port: 80, protocol: HTTP}
		  - {name: tcp, port: 7000, protocol: TCP}
		  - {name: udp, port: 7001, protocol: UDP}
		---
		apiVersion: v1
		kind: Service
		metadata: {name: app$1, namespace: default}
		spec:
		  ports:
		  - {name: http, port: 80}
		  - {name: tcp, port: 70}
		  - {name: dns, port: 53, protocol: UDP}
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata:
		  name: app$1-1
		  namespace: default
		  labels: {kubernetes.io/service-name: app$1}
		addressType: $2
		ports:
		- {name: http, port: 8080}
		- {name: tcp, port: 8070}
		- {name: dns, port: 5353, protocol: UDP}
		endpoints:
		- {addresses: ["$4"], nodeName: node1, conditions: {ready: true}}
		- {addresses: ["$5"], nodeName: node2, conditions: {ready: true}}
	EOM
	route HTTPRoute v1 "$1" http 80
	route TCPRoute v1alpha2 "$1" tcp 70
	route UDPRoute v1alpha2 "$1" udp 53
}

route() { # KIND VERSION F SECTION PORT
	cat <<-EOM
		---
		apiVersion: gateway.networking.k8s.io/$2
		kind: $1
		metadata: {name: $4-$3, namespace: default}
		spec:
		  parentRefs: [{name: gw$3, sectionName: $4}]
		  rules:
		  - backendRefs: [{name: app$3, port: $5}]
	EOM
}

{
	cat <<-'EOM'
		apiVersion: gateway.networking.k8s.io/v1
		kind: GatewayClass
		metadata: {name: weir}
		spec: {controllerName: weir.dev/gateway-controller}
	EOM
	family 4 IPv4 198.51.100.10 10.1.1.10 10.1.2.10
	family 6 IPv6 2001:db8:100::10 fd01:1::10 fd01:2::10
} >"$agent_dir/site.yaml"

load() { # NS ARGS...
	local ns=$1
	shift
	# Two seconds are enough for 60; the rest is a failure all the same.
	in_ns "$ns" "$agent_tools/weir-load" --timeout 1000 -t 2 "$@" \
		>"$netns_work/load" 2>&1
}

# Both endpoints serve, nothing fails.
both='.failed == 0 and .backends.p1a > 0 and .backends.p2a > 0'

tap_plan 30
agent_start --node-name node1
tap_ok $? 'an agent serves on node1'
[ "$(agent_ask status | jq '.diags.error')" = 0 ]
tap_ok $? 'without a complaint'

for who in out p1b node1; do
	for vip in 198.51.100.10 '[2001:db8:100::10]'; do
		load "$who" -n 60 -c 3 "http://$vip/"
		agent_loaded "$both"
		tap_ok $? "$who: requests to $vip"
		load "$who" -n 60 -c 3 --check-peer "tcp:$vip:7000"
		agent_loaded "$both"
		tap_ok $? "$who: connections to $vip"
		load "$who" -n 60 -c 3 "udp:$vip:7001"
		agent_loaded "$both"
		tap_ok $? "$who: datagrams to $vip"
	done
done
agent_ask stats | jq -es '.[0].counters.PACKET_FLOWS >= 240' >/dev/null
tap_ok $? 'the packet plane decided for clients outside and in pods'
agent_ask stats | jq -es '.[0].counters.PACKET_SNAT > 0' >/dev/null
tap_ok $? 'with source translation where the way back needs it'

# Hairpin: the endpoint is the client.
load p1a -n 60 -c 3 tcp:198.51.100.10:7000
agent_loaded "$both"
tap_ok $? 'an endpoint reaches itself by the frontend'

# ------------------------------------------------------ without an agent
kill -9 "$agent_parent" "$(agent_pid agent)"
wait "$agent_parent" 2>/dev/null # or the shell tells of it anywhere
load out -n 60 -c 3 tcp:198.51.100.10:7000
agent_loaded "$both"
tap_ok $? 'agent dead: connections from outside are divided'
load p1b -n 60 -c 3 'udp:[2001:db8:100::10]:7001'
agent_loaded "$both"
tap_ok $? 'agent dead: datagrams of pods are divided'
# A connection that lasts, over the death and the return of an agent.
load out -n 2 -c 2 --rounds 60 --think 50 tcp:198.51.100.10:7000 &
long=$!
agent_start --node-name node1
tap_ok $? 'a new agent takes over'
wait "$long"
agent_loaded '.failed == 0'
tap_ok $? 'connections survived that'

# --------------------------------------------------------- new interfaces
netns_add late
netns_veth node1 late late eth0
ip -n "$netns_run-node1" addr add 10.1.1.1/32 dev late
ip -n "$netns_run-node1" route add 10.1.1.99/32 dev late
ip -n "$netns_run-late" addr add 10.1.1.99/32 dev eth0
ip -n "$netns_run-late" route add 10.1.1.1/32 dev eth0
ip -n "$netns_run-late" route add default via 10.1.1.1
wait_until 5 load late -n 10 tcp:198.51.100.10:7000
load late -n 60 -c 3 --check-peer tcp:198.51.100.10:7000
agent_loaded "$both"
tap_ok $? 'a pod that comes later is served'

# -------------------------------------------------------------------- end
kill -TERM "$agent_parent"
wait "$agent_parent" 2>/dev/null
# shellcheck disable=SC2046
"$agent_bin" --detach $(agent_flags)
tap_ok $? '--detach'
hooks() {
	in_ns node1 bpftool net | grep weir_
	for dev in eth0 p1a p1b late; do
		in_ns node1 tc qdisc show dev "$dev" clsact
	done
	ip -n "$netns_run-node1" route show table all proto 119
}
none() {
	[ -z "$(hooks)" ]
}
wait_until 2 none
tap_ok $? 'leaves no program, qdisc or route'
hooks | sed 's/^/# left: /'
[ "$tap_failed" -eq 0 ] || sed 's/^/# log: /' "$agent_log"
tap_end
