# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The packet plane on node1 of two nodes, for tests/netns/test-packet-*.sh;
# source lib.sh first.  netns_begin, then:
#
#	packet_site             nodes, servers, manifests
#	packet_start [FLAG...]  an agent on node1, no cgroup: no connect plane
#	packet_stop             kill -9 of all its processes
#	packet_load NS ARGS...  weir-load there; result in $netns_work/load
#	packet_loaded EXPR      jq EXPR of it
#	packet_count NAME       the sum of counter WEIR_COUNT_NAME
#	packet_peer NS ADDR     whom the server behind ADDR sees
#
# 198.51.100.1 and 2001:db8:100::1, TCP and UDP each:
#	9000	p1a and p2a, IPv4		9006	the same, IPv6
#	9010	p1a alone			9016
#	9020	p2a alone			9026
#	9021	p2a alone, again		9027	(one endpoint, two ports)
#	9030	nobody: no ready endpoint
#	9040	p1a's port 9: no listener	9046
#	9050	p1a tells the peer (TCP)	9056
#	9060	p2a tells the peer (TCP)	9066
#	9070	10.1.3.10 on node1		9076	(tests that have it)
#	9080	10.9.0.2 elsewhere		9086	(likewise)
# 10.96.0.80:80, a ClusterIP with an HTTPRoute: p1a's HTTP server.

packet_bin=${WEIR_BUILD:-build}/weir-agent
packet_tools=${WEIR_BUILD:-build}/tests
packet_v4=198.51.100.1
packet_v6='[2001:db8:100::1]'

packet_server() { # NS
	spawn "$1" "$packet_tools/weir-echo" --name "$1" tcp:0.0.0.0:8080 \
		udp:0.0.0.0:8080 'tcp:[::]:8080' 'udp:[::]:8080' \
		http:0.0.0.0:8000 >"$netns_work/$1" 2>&1
	# shellcheck disable=SC2016 # expanded by socat's shell
	spawn "$1" socat TCP6-LISTEN:8090,fork,reuseaddr,ipv6only=0 \
		SYSTEM:'echo $SOCAT_PEERADDR'
	wait_until 5 test -s "$netns_work/$1"
}

packet_site() {
	packet_dir=$netns_work/manifests
	packet_sock=$netns_work/admin.sock
	netns_two_nodes
	packet_server p1a
	packet_server p2a
	# Pods of node2 reach the addresses by node1, as if it announced them.
	ip -n "$netns_run-node2" route add 198.51.100.0/24 via 192.0.2.11
	ip -n "$netns_run-node2" route add 2001:db8:100::/64 via 2001:db8:1::11
	mkdir -p "$packet_dir"
	packet_write >"$packet_dir/site.yaml"
}

packet_write() {
	cat <<-'EOM'
		apiVersion: gateway.networking.k8s.io/v1
		kind: GatewayClass
		metadata: {name: weir}
		spec: {controllerName: weir.dev/gateway-controller}
		---
		apiVersion: gateway.networking.k8s.io/v1
		kind: HTTPRoute
		metadata: {name: web, namespace: default}
		spec:
		  parentRefs: [{group: "", kind: Service, name: web, port: 80}]
		  rules: [{backendRefs: [{name: web, port: 80}]}]
		---
		apiVersion: v1
		kind: Service
		metadata: {name: web, namespace: default}
		spec:
		  clusterIP: 10.96.0.80
		  ports: [{name: http, port: 80}]
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata:
		  name: web-1
		  namespace: default
		  labels: {kubernetes.io/service-name: web}
		addressType: IPv4
		ports: [{name: http, port: 8000}]
		endpoints: [{addresses: [10.1.1.10], nodeName: node1}]
	EOM
	packet_route 9000 IPv4 8080 10.1.1.10/1 10.1.2.10/2
	packet_route 9006 IPv6 8080 fd01:1::10/1 fd01:2::10/2
	packet_route 9010 IPv4 8080 10.1.1.10/1
	packet_route 9016 IPv6 8080 fd01:1::10/1
	packet_route 9020 IPv4 8080 10.1.2.10/2
	packet_route 9026 IPv6 8080 fd01:2::10/2
	packet_route 9021 IPv4 8080 10.1.2.10/2
	packet_route 9027 IPv6 8080 fd01:2::10/2
	packet_route 9030 IPv4 8080
	packet_route 9040 IPv4 9 10.1.1.10/1
	packet_route 9046 IPv6 9 fd01:1::10/1
	packet_route 9050 IPv4 8090 10.1.1.10/1
	packet_route 9056 IPv6 8090 fd01:1::10/1
	packet_route 9060 IPv4 8090 10.1.2.10/2
	packet_route 9066 IPv6 8090 fd01:2::10/2
	packet_route 9070 IPv4 8080 10.1.3.10/1
	packet_route 9076 IPv6 8080 fd01:3::10/1
	packet_route 9080 IPv4 8080 10.9.0.2/3
	packet_route 9086 IPv6 8080 fd09::2/3
	packet_gateway
}

packet_gateway() {
	local port proto
	cat <<-'EOM'
		---
		apiVersion: gateway.networking.k8s.io/v1
		kind: Gateway
		metadata: {name: gw, namespace: default}
		spec:
		  gatewayClassName: weir
		  addresses:
		  - {type: IPAddress, value: 198.51.100.1}
		  - {type: IPAddress, value: "2001:db8:100::1"}
		  listeners:
	EOM
	for port in 9000 9006 9010 9016 9020 9026 9021 9027 9030 9040 9046 \
		9050 9056 9060 9066 9070 9076 9080 9086; do
		for proto in TCP UDP; do
			echo "  - {name: ${proto,,}$port, port: $port," \
				"protocol: $proto}"
		done
	done
}

# A TCPRoute, a UDPRoute and their Service; endpoints as ADDRESS/NODE-NUMBER.
packet_route() { # PORT FAMILY TARGET-PORT ENDPOINT...
	local port=$1 family=$2 target=$3 proto e
	shift 3
	for proto in TCP UDP; do
		cat <<-EOM
			---
			apiVersion: gateway.networking.k8s.io/v1alpha2
			kind: ${proto}Route
			metadata: {name: s$port, namespace: default}
			spec:
			  parentRefs: [{name: gw, sectionName: ${proto,,}$port}]
			  rules: [{backendRefs: [{name: s$port, port: 80}]}]
		EOM
	done
	cat <<-EOM
		---
		apiVersion: v1
		kind: Service
		metadata: {name: s$port, namespace: default}
		spec:
		  ports:
		  - {name: tcp, port: 80}
		  - {name: udp, port: 80, protocol: UDP}
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata:
		  name: s$port-1
		  namespace: default
		  labels: {kubernetes.io/service-name: s$port}
		addressType: $family
		ports:
		- {name: tcp, port: $target}
		- {name: udp, port: $target, protocol: UDP}
		endpoints:
	EOM
	for e; do
		echo "- {addresses: ['${e%/*}'], nodeName: node${e#*/}}"
	done
	(($#)) || echo "- {addresses: [10.1.1.99], conditions: {ready: false}}"
}

packet_start() { # FLAG...
	in_ns node1 "$packet_bin" --manifests "$packet_dir" --node-name node1 \
		--cgroup none --pin-dir "$netns_pins/weir" \
		--admin "$packet_sock" --metrics none --user root \
		"$@" >>"$netns_work/agent.log" 2>&1 &
	disown $!
	wait_until 10 packet_ready
}

packet_ask() { # WORD
	echo "$1" | socat -t5 - "UNIX-CONNECT:$packet_sock" 2>/dev/null
}

packet_ready() {
	packet_ask status | jq -es '.[0] | .ready' >/dev/null 2>&1
}

packet_pids() {
	packet_ask status | jq '.processes[].pid'
}

packet_stop() {
	local pid
	for pid in $(packet_pids); do
		kill -9 "$pid"
	done
	# The lock goes with the last of them.
	wait_until 5 packet_is_gone
}

packet_is_gone() {
	! ip netns pids "$netns_run-node1" |
		xargs -r ps -o comm= -p 2>/dev/null | grep -q '^weir-agent'
}

packet_detach() {
	in_ns node1 "$packet_bin" --detach --pin-dir "$netns_pins/weir" \
		>>"$netns_work/agent.log" 2>&1
}

packet_load() { # NS ARGS...
	local ns=$1
	shift
	in_ns "$ns" timeout 60 "$packet_tools/weir-load" --timeout 2000 "$@" \
		>"$netns_work/load" 2>&1
}

packet_loaded() { # EXPR
	jq -es ".[-1] | $1" "$netns_work/load" >/dev/null 2>&1 && return 0
	sed 's/^/# /' "$netns_work/load"
	return 1
}

# All of ARGS' units are answered.
packet_all() { # NS ARGS...
	packet_load "$@"
	packet_loaded '.failed == 0 and .completed > 0'
}

packet_count() { # NAME
	packet_ask stats | jq ".counters.$1"
}

packet_peer() { # NS ADDR:PORT
	in_ns "$1" socat -T2 - "TCP:$2" </dev/null 2>&1
}
