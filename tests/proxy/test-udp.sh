#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Datagram associations while plans change: one stays where its endpoint stays,
# moves where that goes, and ends with its listener.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$dir/site"
gateway() { # LISTENER...
	local list='' port
	for port; do list="$list{name: u$port, port: $port, protocol: UDP},"; done
	cat >"$dir/site/gateway.yaml.new" <<-YAML
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
	  addresses: [{type: IPAddress, value: 127.0.0.30}]
	  listeners: [${list%,}]
	YAML
	mv "$dir/site/gateway.yaml.new" "$dir/site/gateway.yaml"
}
route() { # PORT-OF-LISTENER BACKENDREF...
	local port=$1
	shift
	cat >"$dir/site/route-$port.yaml.new" <<-YAML
	apiVersion: gateway.networking.k8s.io/v1alpha2
	kind: UDPRoute
	metadata: {name: r$port, namespace: default}
	spec:
	  parentRefs: [{name: gw, sectionName: u$port}]
	  rules: [{backendRefs: [$(printf '{name: %s, port: 53},' "$@")]}]
	YAML
	mv "$dir/site/route-$port.yaml.new" "$dir/site/route-$port.yaml"
}
service() { # NAME ADDRESS...: its endpoints
	local name=$1 list=
	shift
	[ $# -eq 0 ] || list=$(printf '{addresses: [%s], conditions: {ready: true}},' "$@")
	cat >"$dir/site/$name.yaml.new" <<-YAML
	apiVersion: v1
	kind: Service
	metadata: {name: $name, namespace: default}
	spec: {ports: [{name: p, port: 53, targetPort: 9153, protocol: UDP}]}
	---
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: $name-1, namespace: default, labels: {kubernetes.io/service-name: $name}}
	addressType: IPv4
	ports: [{name: p, port: 9153, protocol: UDP}]
	endpoints: [${list%,}]
	YAML
	mv "$dir/site/$name.yaml.new" "$dir/site/$name.yaml"
}
reload() {
	: >"$dir/out"
	echo reload >&3
	await acked
}

# ask FD: who answers what is sent there; nothing within two seconds: "-".
ask() {
	local answer
	printf 'x' >&"$1"
	answer=$(timeout 2 dd bs=65536 count=1 <&"$1" 2>/dev/null | tr -d ' ')
	echo "${answer:--}"
}
# says EXPECTED FD
says() {
	local got
	got=$(ask "$2")
	[ "$got" = "$1" ] || echo "# got $got"
	[ "$got" = "$1" ]
}

gateway 8083 8084 8085
service a 127.0.1.1
service b 127.0.1.2
service none
service dead 127.0.1.9
route 8083 a
route 8084 a
route 8085 none
backend A=udp:127.0.1.1:9153 B=udp:127.0.1.2:9153
proxy "$dir/site" workers=3
at=/dev/udp/127.0.0.30
exec 5<>$at/8083 6<>$at/8084 7<>$at/8085

ok "a client's datagrams go to the only endpoint" says Ax 5
ok "another listener's, too" says Ax 6
ok "each client has its association" [ "$(stat_of associations)" = 2 ]

route 8083 b a
service b 127.0.1.2
reload
for _ in 1 2 3 4 5 6; do who="${who:-}$(ask 5)"; done
ok "a plan that still has the endpoint leaves the association there ($who)" [ "$who" = AxAxAxAxAxAx ]
ok "no other was opened" [ "$(stat_of associations)" = 2 ]
route 8083 b
reload
ok "a plan that leads elsewhere takes it along" says Bx 5
ok "the old association is gone" [ "$(stat_of associations)" = 2 ]
service b 127.0.1.1
reload
ok "an endpoint that is replaced, too" says Ax 5

ok "a Service without endpoints answers nothing" says - 7
ok "which is counted" [ "$(stat_of NO_ENDPOINT)" = 1 ]
route 8085 missing
reload
ok "neither does one that does not exist" says - 7
ok "which is counted, too" [ "$(stat_of INVALID_BACKEND)" = 1 ]

# Nobody listens there: ICMP says so, to the association and to the next one.
route 8085 dead
reload
ok "an endpoint without a process answers nothing" says - 7
ended() {
	for _ in $(seq 100); do
		[ "$(stat_of associations)" = 2 ] && return 0
		sleep 0.02
	done
	return 1
}
ok "its association ends" ended
route 8085 b
reload
ok "and the next datagram goes where one answers" says Ax 7

# A listener goes, and its associations with it, not others.
gateway 8083 8085
rm "$dir/site/route-8084.yaml"
reload
ok "without its listener nothing answers" says - 6
ok "others stay" says Ax 5
gateway 8083 8084 8085
route 8084 a
reload
# What came meanwhile waits in the socket, and is answered first.
ask 6 >/dev/null
ok "and it may come back" says Ax 6
exec 5>&- 6>&- 7>&-
plan
