# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# netns_* come from lib.sh, agent_parent and agent_log are for the tests.
# shellcheck disable=SC2154,SC2034,SC2120
#
# An agent in one network namespace, for tests/netns/test-agent-*.sh; source
# lib.sh first.  netns_begin, then:
#
#	agent_site               namespace host with servers a, b (HTTP and TCP
#	                         8080, 8081; UDP 5353) and manifests that divide
#	                         198.51.100.10: HTTP :80 and TCP :7000 at 3 : 1,
#	                         UDP :7001 to a alone
#	agent_start [FLAG...]    starts an agent there and waits until it serves
#	agent_ask WORD           what the admin socket answers
#	agent_is EXPR            jq EXPR is true of the status
#	agent_pid ROLE           parent, agent or proxy
#	agent_weights A B        edits both routes, by rename, and waits for it
#	agent_load ARGS...       weir-load in the namespace; jq-able: $agent_work/load
#	in_plane ARGS...         likewise, inside the cgroup of the connect plane
#
# The agent's output is in $agent_log.

agent_bin=${WEIR_BUILD:-build}/weir-agent
agent_tools=${WEIR_BUILD:-build}/tests

agent_site() {
	agent_dir=$netns_work/manifests
	agent_log=$netns_work/agent.log
	agent_sock=$netns_work/admin.sock
	netns_add host
	spawn host "$agent_tools/weir-echo" --name a http:127.0.0.1:8080 \
		tcp:127.0.0.1:8070 udp:127.0.0.1:5353 >"$netns_work/a" 2>&1
	spawn host "$agent_tools/weir-echo" --name b http:127.0.0.1:8081 \
		tcp:127.0.0.1:8071 >"$netns_work/b" 2>&1
	wait_until 5 test -s "$netns_work/a" -a -s "$netns_work/b"
	mkdir -p "$agent_dir"
	agent_write_gateway >"$agent_dir/gateway.yaml"
	agent_write_services >"$agent_dir/services.yaml"
	agent_write_routes 3 1 >"$agent_dir/routes.yaml"
}

agent_write_gateway() {
	cat <<-'EOM'
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
		  addresses: [{type: IPAddress, value: 198.51.100.10}]
		  listeners:
		  - {name: http, port: 80, protocol: HTTP}
		  - {name: tcp, port: 7000, protocol: TCP}
		  - {name: udp, port: 7001, protocol: UDP}
	EOM
}

agent_service() { # NAME HTTP-PORT TCP-PORT
	cat <<-EOM
		---
		apiVersion: v1
		kind: Service
		metadata: {name: $1, namespace: default}
		spec:
		  ports:
		  - {name: http, port: 80}
		  - {name: tcp, port: 70}
		  - {name: dns, port: 53, protocol: UDP}
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata:
		  name: $1-1
		  namespace: default
		  labels: {kubernetes.io/service-name: $1}
		addressType: IPv4
		ports:
		- {name: http, port: $2}
		- {name: tcp, port: $3}
		- {name: dns, port: 5353, protocol: UDP}
		endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]
	EOM
}

agent_write_services() {
	agent_service a 8080 8070
	agent_service b 8081 8071
}

agent_write_routes() { # WEIGHT-A WEIGHT-B
	cat <<-EOM
		apiVersion: gateway.networking.k8s.io/v1
		kind: HTTPRoute
		metadata: {name: web, namespace: default}
		spec:
		  parentRefs: [{name: gw, sectionName: http}]
		  rules:
		  - backendRefs:
		    - {name: a, port: 80, weight: $1}
		    - {name: b, port: 80, weight: $2}
		---
		apiVersion: gateway.networking.k8s.io/v1alpha2
		kind: TCPRoute
		metadata: {name: raw, namespace: default}
		spec:
		  parentRefs: [{name: gw, sectionName: tcp}]
		  rules:
		  - backendRefs:
		    - {name: a, port: 70, weight: $1}
		    - {name: b, port: 70, weight: $2}
		---
		apiVersion: gateway.networking.k8s.io/v1alpha2
		kind: UDPRoute
		metadata: {name: dns, namespace: default}
		spec:
		  parentRefs: [{name: gw, sectionName: udp}]
		  rules:
		  - backendRefs: [{name: a, port: 53}]
	EOM
}

# The flags that keep an agent inside this run.
agent_flags() {
	echo --manifests "$agent_dir" --netns "/run/netns/$netns_run-${agent_ns:-host}" \
		--cgroup "$netns_cgroup" --pin-dir "$netns_pins" \
		--admin "$agent_sock"
}

agent_start() { # FLAG...
	# shellcheck disable=SC2046
	"$agent_bin" $(agent_flags) "$@" >>"$agent_log" 2>&1 &
	agent_parent=$!
	wait_until 10 agent_is .ready
}

agent_ask() { # WORD
	echo "$1" | socat -t5 - "UNIX-CONNECT:$agent_sock" 2>/dev/null
}

# Slurped: to no input at all, jq -e answers yes.
agent_is() { # EXPR
	agent_ask status | jq -es ".[0] | $1" >/dev/null 2>&1
}

agent_pid() { # ROLE
	agent_ask status | jq ".processes.$1.pid"
}

agent_generation() {
	agent_ask status | jq '[.generation[]] | min'
}

agent_put() { # FILE (contents on standard input)
	cat >"$netns_work/new"
	mv "$netns_work/new" "$agent_dir/$1"
}

# Until both planes have acknowledged something newer than GENERATION.
agent_wait_newer() { # GENERATION
	wait_until 5 agent_is "([.generation[]] | min) > $1"
}

agent_weights() { # A B
	local before
	before=$(agent_generation)
	agent_write_routes "$1" "$2" | agent_put routes.yaml
	agent_wait_newer "$before"
}

agent_load() { # ARGS...
	in_ns host "$agent_tools/weir-load" "$@" >"$netns_work/load" 2>&1
}

in_plane() { # ARGS...
	in_cgroup plane nsenter --net="/run/netns/$netns_run-${agent_ns:-host}" \
		"$agent_tools/weir-load" "$@" >"$netns_work/load" 2>&1
}

# EXPR of the last load.
agent_loaded() { # EXPR
	jq -es ".[-1] | $1" "$netns_work/load" >/dev/null 2>&1 && return 0
	sed 's/^/# /' "$netns_work/load"
	return 1
}
