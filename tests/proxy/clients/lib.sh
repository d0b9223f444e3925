# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# For tests with clients that others wrote; after tests/proxy/lib.sh.
url=http://127.0.0.30:8080
ws=ws://127.0.0.30:8080/ws

# The site of tests/proxy, and routes for any host: clients send what they want.
open_site() {
	mkdir "$dir/site"
	cp "$here/site/site.yaml" "$dir/site/"
	cat >"$dir/site/clients.yaml" <<-YAML
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: clients, namespace: default}
	spec:
	  parentRefs: [{name: gw, sectionName: http}]
	  rules:
	  - matches: [{path: {type: PathPrefix, value: /ws}}]
	    backendRefs: [{name: ws, port: 80}]
	  - matches: [{path: {type: PathPrefix, value: /attack}}]
	    backendRefs: [{name: attacked, port: 80}]
	  - backendRefs: [{name: one, port: 80}]
	---
	apiVersion: v1
	kind: Service
	metadata: {name: ws, namespace: default}
	spec: {ports: [{name: p, port: 80, targetPort: 9102}]}
	---
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: ws-1, namespace: default, labels: {kubernetes.io/service-name: ws}}
	addressType: IPv4
	ports: [{name: p, port: 9102, protocol: TCP}]
	endpoints: [{addresses: [127.0.1.2], conditions: {ready: true}}]
	---
	apiVersion: v1
	kind: Service
	metadata: {name: attacked, namespace: default}
	spec: {ports: [{name: p, port: 80, targetPort: 9103}]}
	---
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: attacked-1, namespace: default, labels: {kubernetes.io/service-name: attacked}}
	addressType: IPv4
	ports: [{name: p, port: 9103, protocol: TCP}]
	endpoints: [{addresses: [127.0.1.3], conditions: {ready: true}}]
	YAML
}

# client_is NAME PROBE: is it installed?  Otherwise a skipped test.
client_is() {
	eval "$2" >/dev/null 2>&1 && return
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $1 is not installed"
	return 1
}

# client NAME COMMAND...: numbers the TAP lines that it prints.
client() {
	local name=$1 line r=0
	shift
	timeout 60 "$@" >"$dir/client" 2>"$dir/client.err" 3>&- || r=$?
	while IFS= read -r line; do
		case $line in
		"ok - "*) ok "${line#ok - }" true ;;
		"not ok - "*) ok "${line#not ok - }" false ;;
		*) echo "# $line" ;;
		esac
	done <"$dir/client"
	((r == 0)) || tail -n 5 "$dir/client.err" | sed 's/^/# /'
	ok "$name: ran to its end" [ $r = 0 ]
}

websocket_server() {
	/usr/bin/python3 "$here/clients/websocket.py" serve 127.0.1.2 9102 >"$dir/ws" 2>&1 3>&- &
	wspid=$!
	others+=("$wspid")
	for _ in $(seq 200); do
		grep -q ready "$dir/ws" && return
		sleep 0.02
	done
}

# settles COUNTER VALUE: within two seconds.
settles() {
	for _ in $(seq 40); do
		[ "$(stat_of "$1")" != "$2" ] || return 0
		sleep 0.05
	done
	return 1
}
