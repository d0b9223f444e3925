#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Service sessionAffinity ClientIP: a client keeps its endpoint, and loses it
# only with the endpoint (rendezvous hashing).
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

gw=127.0.0.30
clients=60
mkdir "$dir/site"
cp "$here/site/site.yaml" "$dir/site/"

# endpoints AFFINITY LAST-BYTE...
endpoints() {
	local affinity=$1 list
	shift
	list=$(printf '{addresses: [127.0.2.%s], conditions: {ready: true}},' "$@")
	cat >"$dir/site/sticky.yaml" <<-YAML
	apiVersion: v1
	kind: Service
	metadata: {name: sticky, namespace: default}
	spec: {sessionAffinity: $affinity, ports: [{name: p, port: 80, targetPort: 9120}]}
	---
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: sticky-1, namespace: default, labels: {kubernetes.io/service-name: sticky}}
	addressType: IPv4
	ports: [{name: p, port: 9120, protocol: TCP}]
	endpoints: [${list%,}]
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: sticky, namespace: default}
	spec:
	  parentRefs: [{name: gw, sectionName: http}]
	  hostnames: [sticky]
	  rules: [{backendRefs: [{name: sticky, port: 80}]}]
	YAML
}

# who FILE: for each client, who answers each of three requests.
who() {
	local i
	for i in $(seq $clients); do
		curl -s -m 5 --interface "127.0.9.$i" -H 'Host: sticky' \
			"http://$gw:8080/[1-3]" |
			grep -o '"name": *"[A-D]"' | tr -dc 'A-D'
		echo
	done >"$1"
}
lines() { grep -c "$@" || true; }

endpoints ClientIP 1 2 3
backend A=http:127.0.2.1:9120 B=http:127.0.2.2:9120 C=http:127.0.2.3:9120 \
	D=http:127.0.2.4:9120
# Two workers: the same client must be seen alike by both.
proxy "$dir/site" workers=2

who "$dir/first"
ok "each client keeps its endpoint over three requests" \
	[ "$(lines -E '^(AAA|BBB|CCC)$' <"$dir/first")" = $clients ]
who "$dir/again"
ok "and over new connections" cmp -s "$dir/first" "$dir/again"
least=$(sort "$dir/first" | uniq -c | awk '{print $1}' | sort -n | head -n 1)
kinds=$(sort -u "$dir/first" | wc -l)
ok "clients spread over all endpoints (at least $least of $clients each)" \
	[ "$kinds" = 3 -a "$least" -ge 8 ]

endpoints ClientIP 3 1 && reload
who "$dir/less"
moved=$(paste "$dir/first" "$dir/less" | awk '$1 != "BBB" && $1 != $2' | wc -l)
left=$(lines B <"$dir/less")
ok "an endpoint goes: only its clients move ($moved others did)" \
	[ "$moved" = 0 -a "$left" = 0 ]

endpoints ClientIP 1 2 3 4 && reload
who "$dir/more"
moved=$(paste "$dir/first" "$dir/more" | awk '$2 != "DDD" && $1 != $2' | wc -l)
taken=$(lines DDD <"$dir/more")
ok "one is added: it takes its share, nobody else moves ($taken taken)" \
	[ "$moved" = 0 -a "$taken" -gt 4 -a "$taken" -lt 30 ]

endpoints None 1 2 3 && reload
who "$dir/none"
same=$(lines -E '^(AAA|BBB|CCC)$' <"$dir/none")
ok "without affinity requests are spread ($same of $clients met one only)" \
	[ "$same" -lt 10 ]
plan
