#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Metrics are bounded: how many series there are does not depend on routes,
# endpoints or what clients ask; with --metrics-per-route on rules and their
# backends alone.

set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/netns/agent.sh
. "$here/agent.sh"

netns_begin agent-series
agent_site

# The names of all series with their labels.
series() {
	in_ns host curl -s -m 5 http://127.0.0.1:9707/metrics |
		sed -n '/^#/!s/ [^ ]*$//p' | sort
}

# N rules, each of a route with a host of its own.
many_routes() { # N
	awk -v n="$1" 'BEGIN {
		for (i = 1; i <= n; i++) {
			print "---"
			print "apiVersion: gateway.networking.k8s.io/v1"
			print "kind: HTTPRoute"
			print "metadata: {name: many-" i ", namespace: default}"
			print "spec:"
			print "  parentRefs: [{name: gw, sectionName: http}]"
			print "  hostnames: [h" i ".example]"
			print "  rules: [{backendRefs: [{name: many, port: 80}]}]"
		}
	}' | agent_put many.yaml
}

# Service many, with N endpoints.
many_endpoints() { # N
	local i list=
	for i in $(seq "$1"); do
		list+="{addresses: [127.0.$((i / 250 + 1)).$((i % 250 + 1))]},"
	done
	agent_put endpoints.yaml <<-EOM
		apiVersion: v1
		kind: Service
		metadata: {name: many, namespace: default}
		spec: {ports: [{name: http, port: 80, targetPort: 8080}]}
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: {name: many-1, namespace: default, labels: {kubernetes.io/service-name: many}}
		addressType: IPv4
		ports: [{name: http, port: 8080}]
		endpoints: [${list%,}]
	EOM
}

gauge() { # NAME AT-LEAST
	in_ns host curl -s -m 5 http://127.0.0.1:9707/metrics |
		awk -v name="$1" -v least="$2" '$1 == name { n = $2 } END { exit n < least }'
}

is_exactly() { # NAME VALUE
	in_ns host curl -s -m 5 http://127.0.0.1:9707/metrics |
		awk -v name="$1" -v want="$2" '$1 == name { n = $2 } END { exit n != want }'
}

# A request whose body comes when somebody writes to $netns_work/go.
slow_request() {
	mkfifo "$netns_work/go"
	# shellcheck disable=SC2016
	spawn host bash -c 'exec 3<>/dev/tcp/198.51.100.10/80
		printf "POST / HTTP/1.1\r\nHost: any\r\nContent-Length: 5\r\nConnection: close\r\n\r\n" >&3
		read -r body <"$1"
		printf %s "$body" >&3
		cat <&3' - "$netns_work/go" >"$netns_work/answer" 2>&1
}

# Of any host, path and method, answered or not.
ask() {
	awk 'BEGIN {
		for (i = 1; i <= 20; i++) {
			print "url = http://198.51.100.10/" i
			print "request = M" i
			print "header = \"Host: h" i ".example\""
			print "output = /dev/null\nnext"
			print "url = http://198.51.100.10/..%2f" i
			print "header = \"Host: none" i ".example\""
			print "output = /dev/null" (i < 20 ? "\nnext" : "")
		}
	}' | in_ns host curl -s -m 60 -K -
}

tap_plan 11
agent_start
series >"$netns_work/few"
many_endpoints 400
many_routes 200
wait_until 20 gauge 'weir_endpoints' 400 &&
	wait_until 20 gauge 'weir_rules{plane="proxy"}' 200
tap_ok $? '200 routes and 400 endpoints are in force'
ask
gauge weir_proxy_requests_total 40
tap_ok $? 'requests of many kinds were decided'
is_exactly 'weir_proxy_responses_total{class="4xx"}' 20 &&
	is_exactly 'weir_proxy_responses_total{class="5xx"}' 20 &&
	is_exactly weir_proxy_requests_in_flight 0
tap_ok $? 'by class: 20 without a route, 20 without a backend; none is in flight'
slow_request
wait_until 10 is_exactly weir_proxy_requests_in_flight 1
tap_ok $? 'one whose body has not come is in flight'
echo 12345 >"$netns_work/go"
wait_until 10 is_exactly 'weir_proxy_responses_total{class="2xx"}' 1 &&
	wait_until 10 is_exactly weir_proxy_requests_in_flight 0
tap_ok $? 'and is not when it has ended'
rm "$netns_work/go"
slow_request
wait_until 10 is_exactly weir_proxy_requests_in_flight 1
kill -9 "$(agent_pid proxy)"
wait_until 10 is_exactly 'weir_proxy_responses_total{class="none"}' 1 &&
	wait_until 10 is_exactly weir_proxy_requests_in_flight 0
tap_ok $? 'one that a proxy took with it had no answer'
series >"$netns_work/many"
n=$(wc -l <"$netns_work/few")
[ "$n" -ge 100 ] && diff "$netns_work/few" "$netns_work/many" | sed 's/^/# /'
[ "$n" -ge 100 ] && cmp -s "$netns_work/few" "$netns_work/many"
tap_ok $? "the same $n series as before"

kill "$agent_parent"
wait "$agent_parent"
agent_start --metrics-per-route
wait_until 20 gauge 'weir_rules{plane="proxy"}' 200
ask
series >"$netns_work/rules"
n=$(wc -l <"$netns_work/rules")
# Of each rule a series for each class of status, of each backend one a plane.
[ "$n" -gt $(($(wc -l <"$netns_work/few") + 200)) ] &&
	[ "$n" -le $(($(wc -l <"$netns_work/few") + 203 * (6 + 3 * 2))) ]
tap_ok $? "--metrics-per-route: some more for each rule ($n)"
# One rule of the object, two of the plan: each prefix is cut off itself.
agent_put two.yaml <<-EOM
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: two, namespace: default}
	spec:
	  parentRefs: [{name: gw, sectionName: http}]
	  hostnames: [two.example]
	  rules:
	  - matches: [{path: {value: /a}}, {path: {value: /b}}]
	    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /c}}}]
	    backendRefs: [{name: many, port: 80}]
EOM
wait_until 20 gauge 'weir_rules{plane="proxy"}' 202
series >"$netns_work/two"
[ "$(grep -c '"two"' "$netns_work/two")" = 9 ] &&
	[ -z "$(uniq -d "$netns_work/two")" ]
tap_ok $? 'one of each, too, where the plan has two rules of one'
agent_put two.yaml </dev/null
wait_until 20 gauge 'weir_rules{plane="proxy"}' 200
many_endpoints 900
wait_until 20 gauge 'weir_endpoints' 900
tap_ok $? 'twice as many endpoints'
ask
series >"$netns_work/more"
diff "$netns_work/rules" "$netns_work/more" | sed 's/^/# /' | head -n 20
cmp -s "$netns_work/rules" "$netns_work/more"
tap_ok $? 'and no series more'
[ "$tap_failed" -eq 0 ] || sed 's/^/# log: /' "$agent_log"
tap_end
