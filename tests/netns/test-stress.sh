#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Routes are edited every 200 ms and endpoints come and go under load: nothing
# fails, on any plane.  A rule that was deleted is followed by nothing that
# begins 100 ms later.  STRESS_SECONDS (default 30) bounds the load.
# shellcheck disable=SC2317 # functions are called by name
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
B=${B:-$top/build}
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
seconds=${STRESS_SECONDS:-30}
vip=198.51.100.1

netns_begin stress
netns_two_nodes
m=$netns_work/m
clients=$netns_cgroup/clients
mkdir -p "$m" "$clients"

# put FILE: standard input becomes the manifest at once, as an editor would.
put() {
	cat >"$netns_work/aside" && mv "$netns_work/aside" "$m/$1"
}

put_gateway() {
	put gateway.yaml <<-EOF
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
		  addresses: [{value: $vip}]
		  listeners:
		  - {name: http, protocol: HTTP, port: 80}
		  - {name: tcp, protocol: TCP, port: 9000}
		  - {name: udp, protocol: UDP, port: 5300}
		---
		apiVersion: v1
		kind: Service
		metadata: {name: a, namespace: default}
		spec:
		  ports:
		  - {name: http, port: 80}
		  - {name: http2nd, port: 81}
		  - {name: tcp, port: 9000}
		  - {name: udp, port: 5300, protocol: UDP}
		---
		apiVersion: v1
		kind: Service
		metadata: {name: b, namespace: default}
		spec:
		  ports:
		  - {name: http, port: 80}
		  - {name: http2nd, port: 81}
		  - {name: tcp, port: 9000}
		  - {name: udp, port: 5300, protocol: UDP}
	EOF
}

put_slice() { # SERVICE ADDRESS:NODE...
	local name=$1 e
	shift
	{
		cat <<-EOF
			apiVersion: discovery.k8s.io/v1
			kind: EndpointSlice
			metadata:
			  name: $name-1
			  namespace: default
			  labels: {kubernetes.io/service-name: $name}
			addressType: IPv4
			ports:
			- {name: http, port: 8080}
			- {name: http2nd, port: 8081}
			- {name: tcp, port: 9000}
			- {name: udp, port: 5300, protocol: UDP}
			endpoints:
		EOF
		for e; do echo "- {addresses: [${e%:*}], nodeName: ${e#*:}}"; done
	} | put "slice-$name.yaml"
}

put_http() { # WEIGHT-A WEIGHT-B PORT FILTERS
	put http.yaml <<-EOF
		apiVersion: gateway.networking.k8s.io/v1
		kind: HTTPRoute
		metadata: {name: web, namespace: default}
		spec:
		  parentRefs: [{name: gw, sectionName: http}]
		  rules:
		  - filters: [$4]
		    backendRefs:
		    - {name: a, port: $3, weight: $1}
		    - {name: b, port: $3, weight: $2}
	EOF
}

put_l4() { # WEIGHT-A WEIGHT-B
	local kind
	for kind in TCP UDP; do
		put "${kind,,}.yaml" <<-EOF
			apiVersion: gateway.networking.k8s.io/v1alpha2
			kind: ${kind}Route
			metadata: {name: ${kind,,}, namespace: default}
			spec:
			  parentRefs: [{name: gw, sectionName: ${kind,,}}]
			  rules:
			  - backendRefs:
			    - {name: a, port: $([ $kind = TCP ] && echo 9000 || echo 5300), weight: $1}
			    - {name: b, port: $([ $kind = TCP ] && echo 9000 || echo 5300), weight: $2}
		EOF
	done
}

put_all() {
	put_gateway
	put_slice a 10.1.1.10:node1 10.1.1.11:node1
	put_slice b 10.1.2.10:node2
	put_http 1 1 80 ''
	put_l4 1 1
}

start_backends() {
	local pod ip
	for pod in p1a:10.1.1.10 p1b:10.1.1.11 p2a:10.1.2.10; do
		ip=${pod#*:}
		spawn "${pod%:*}" "$B/tests/weir-echo" --name "${pod%:*}" \
			"http:$ip:8080" "http:$ip:8081" "tcp:$ip:9000" "udp:$ip:5300" \
			>/dev/null
	done
}

start_agent() {
	"$B/weir-agent" --manifests "$m" --netns "/run/netns/$netns_run-node1" \
		--pin-dir "$netns_pins" --cgroup "$clients" --external eth0 \
		--node-name node1 --admin "$netns_work/admin.sock" \
		--metrics none >"$netns_work/agent.log" 2>&1 &
	agent=$!
}

answers() {
	in_ns out curl -s -o /dev/null -f -m 1 "http://$vip/" &&
		in_ns out "$B/tests/weir-load" -n 1 --timeout 500 "tcp:$vip:9000" >/dev/null &&
		in_ns out "$B/tests/weir-load" -n 1 --timeout 500 "udp:$vip:5300" >/dev/null
}

# load NAME NS [DIR] -- ARGS: weir-load in the background; its JSON and failures
# go to files of that name.
load() {
	local name=$1 ns=$2
	shift 2
	if [ "$1" = cgroup ]; then
		shift
		in_cgroup clients nsenter --net="/run/netns/$netns_run-$ns" -- \
			"$B/tests/weir-load" -t "$seconds" --failures "$@" \
			>"$netns_work/$name.json" 2>"$netns_work/$name.err" &
	else
		in_ns "$ns" "$B/tests/weir-load" -t "$seconds" --failures "$@" \
			>"$netns_work/$name.json" 2>"$netns_work/$name.err" &
	fi
	loads="$loads $name:$!"
}

# One edit every 200 ms, each of another kind.
churn() {
	local i=0 end=$(($(date +%s) + seconds - 1))
	while [ "$(date +%s)" -lt "$end" ]; do
		i=$((i + 1))
		case $((i % 8)) in
		0) put_http 1 0 80 '' ;;
		1) put_slice a 10.1.1.11:node1 ;;
		2) put_http 0 1 81 '' ;;
		3) put_l4 0 1 ;;
		4) put_slice a 10.1.1.10:node1 ;;
		5) put_http 9 1 81 '{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-flip, value: "1"}]}}' ;;
		6) put_l4 7 3 ;;
		7) put_slice a 10.1.1.10:node1 10.1.1.11:node1 ;;
		esac
		sleep 0.2
	done
	edits=$i
}

# Begins attempts until 1.5 s after FILE was deleted; fails if one that began
# more than 100 ms after it succeeded.  none_after FILE CMD...
none_after() {
	local file=$1 deleted now late=0 after=0
	shift
	"$@" || { echo 'does not work before the deletion' && return 1; }
	rm "$m/$file"
	deleted=$(date +%s%3N)
	while now=$(date +%s%3N) && [ $((now - deleted)) -lt 1500 ]; do
		if "$@"; then
			[ $((now - deleted)) -le 100 ] || late=$((late + 1))
		fi
		[ $((now - deleted)) -le 100 ] || after=$((after + 1))
	done
	echo "$after attempts after 100 ms, $late of them succeeded"
	[ "$after" -ge 3 ] && [ "$late" = 0 ]
}

http_ok() { in_ns out curl -s -o /dev/null -f -m 1 "http://$vip/"; }
tcp_packet_ok() {
	in_ns out "$B/tests/weir-load" -n 1 --timeout 300 "tcp:$vip:9000" >/dev/null 2>&1
}
tcp_connect_ok() {
	in_cgroup clients nsenter --net="/run/netns/$netns_run-node1" -- \
		"$B/tests/weir-load" -n 1 --timeout 300 "tcp:$vip:9000" >/dev/null 2>&1
}
udp_packet_ok() {
	in_ns out "$B/tests/weir-load" -n 1 --timeout 100 "udp:$vip:5300" >/dev/null 2>&1
}
udp_connect_ok() {
	in_cgroup clients nsenter --net="/run/netns/$netns_run-node1" -- \
		"$B/tests/weir-load" -n 1 --timeout 100 "$@" "udp:$vip:5300" >/dev/null 2>&1
}

put_all
start_backends
start_agent
tap_plan 13
if ! wait_until 15 answers 2>/dev/null; then
	sed 's/^/# /' "$netns_work/agent.log"
	echo 'Bail out! the agent does not serve'
	exit 1
fi

loads=''
load http-keepalive out -c 8 -r 400 --keepalive "http://$vip/"
load http-close out -c 4 -r 100 "http://$vip/"
load tcp-packet out -c 4 -r 100 "tcp:$vip:9000"
load tcp-connect node1 cgroup -c 4 -r 100 "tcp:$vip:9000"
load udp-packet out -c 2 -r 100 "udp:$vip:5300"
load udp-connect node1 cgroup -c 2 -r 100 "udp:$vip:5300"
churn
for l in $loads; do
	status=0
	wait "${l#*:}" || status=$?
	[ $status = 0 ] || head -5 "$netns_work/${l%:*}.json" "$netns_work/${l%:*}.err" |
		sed 's/^/# /'
	tap_ok $status "no failure through $edits edits: ${l%:*}"
done
kill -0 "$agent" 2>/dev/null && status=0 || status=1
tap_ok "$status" 'the agent is the one that was started'

put_all
wait_until 5 answers
tap_run 'no request follows a deleted HTTPRoute' none_after http.yaml http_ok
tap_run 'no flow follows a deleted TCPRoute (packet)' none_after tcp.yaml tcp_packet_ok
put_all
wait_until 5 tcp_connect_ok
tap_run 'no connection follows a deleted TCPRoute (connect)' none_after tcp.yaml tcp_connect_ok
tap_run 'no datagram follows a deleted UDPRoute (packet)' none_after udp.yaml udp_packet_ok
put_all
wait_until 5 udp_connect_ok
tap_run 'no datagram follows a deleted UDPRoute (connect)' none_after udp.yaml udp_connect_ok
put_all
wait_until 5 udp_connect_ok --unconnected
tap_run 'no datagram follows a deleted UDPRoute (sendmsg)' \
	none_after udp.yaml udp_connect_ok --unconnected
tap_end
