#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Requests that wait for an endpoint of a Knative revision: who waits, for how
# long, how many, and that nobody else pays for it.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/knative.sh
. "$here/knative.sh"

# answer N: the status of the Nth ask(), when it is there.
answer() { tail -n 1 "$dir/answer.$1" | cut -d' ' -f1; }
seconds() { tail -n 1 "$dir/answer.$1" | cut -d' ' -f2; }
# fill HOST N: N requests that wait, or are refused.
filled=()
fill() {
	for _ in $(seq "$2"); do
		ask "$1"
		filled+=("$last")
	done
}
count() {
	local i n=0
	for i in $(seq "$2" "$3"); do [ "$(answer "$i")" != "$1" ] || n=$((n + 1)); done
	echo $n
}

knative_site
for name in a b c; do ksvc $name; done
ksvc vip 0 127.0.0.31
cat >"$dir/site/plain.yaml" <<-YAML
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: plain, namespace: default}
	spec:
	  parentRefs: [{name: gw}]
	  hostnames: [mixed]
	  rules:
	  - matches: [{path: {value: /echo}}]
	    backendRefs:
	    - {group: serving.knative.dev, kind: Service, name: a, weight: 0}
	    - {name: plain, port: 80}
	---
	{apiVersion: v1, kind: Service, metadata: {name: plain, namespace: default}, spec: {ports: [{port: 80}]}}
YAML
backend A=http:127.0.1.1:8012 B=http:127.0.1.2:8012
proxy "$dir/site" workers=1 max_held=8 hold_lag_ms=6000

ask a && becomes held 1
slice a a-1 8012 127.0.1.1 && reload
wait $last
ok "a request waits until a plan brings an endpoint: 200" [ "$(answer 1)" = 200 ]
ok "it was counted, and does not wait any more" [ "$(stat_of HELD) $(stat_of held)" = '1 0' ]
slice a a-1 8012 && reload

head -c 45000 /dev/urandom | base64 -w0 >"$dir/body"
ask a -H 'Transfer-Encoding: chunked' --data-binary "@$dir/body" && becomes held 1
slice a a-1 8012 127.0.1.1 && reload
wait $last
ok "a body waits with its head, and arrives whole" \
	cmp -s <(head -c "$(stat -c %s "$dir/body")" "$dir/answer.$asked") "$dir/body"
ask a --http2-prior-knowledge
wait $last
slice a a-1 8012 && reload
ask a --http2-prior-knowledge && becomes held 1
slice a a-1 8012 127.0.1.1 && reload
wait $last
ok "a stream of HTTP/2 waits, too" [ "$(answer "$asked")" = 200 ]
slice a a-1 8012 && reload

ask mixed
wait $last
ok "a plain Service beside a Knative Service does not wait: 503 in $(seconds "$asked") s" \
	awk "BEGIN {exit !($(answer "$asked") == 503 && $(seconds "$asked") < 1)}"
before=$(stat_of NO_ENDPOINT)
ask a
wait $last
ok "no endpoint in time: 503 after $(seconds "$asked") s" \
	awk "BEGIN {s = $(seconds "$asked"); exit !($(answer "$asked") == 503 && s > 5.9 && s < 9)}"
ok "... and counted" [ "$(stat_of NO_ENDPOINT)" = $((before + 1)) ]

# Nine places: 8 / 1 worker + 1.
first=$((asked + 1))
fill a 12 && becomes HOLD_FULL 7 && becomes held 5
ok "of nine places one revision alone gets five, and seven requests 503" \
	[ "$(stat_of held) $(stat_of HOLD_FULL)" = '5 7' ]
fill b 4 && becomes held 7 && becomes HOLD_FULL 9
ok "another one finds two of the four that are left" \
	[ "$(stat_of held) $(stat_of HOLD_FULL)" = '7 9' ]
fill c 3 && becomes held 8
ok "and a third one of the two" [ "$(stat_of held)" = 8 ]
slice b b-1 8012 127.0.1.2 && reload && becomes held 6
wait "${filled[@]}"
ok "the one whose endpoint comes is served, the others wait for theirs" \
	[ "$(count 200 $first "$asked") $(count 503 $first "$asked")" = '2 17' ]
ok "nothing waits, nothing is in flight" [ "$(stat_of held) $(stat_of in_flight)" = '0 0' ]

fill a 5 && becomes held 5
kill $last && becomes held 4
ok "a client that goes away frees its place" [ "$(stat_of held)" = 4 ]
ask a && becomes held 5
ok "... for another one" [ "$(stat_of held)" = 5 ]
slice b b-1 8012 && reload
ask b --http2-prior-knowledge && becomes held 6
kill $last && becomes held 5
ok "... also one that speaks HTTP/2" [ "$(stat_of held)" = 5 ]
slice a a-1 8012 127.0.1.1 && reload && becomes held 0
ok "all are served when the endpoint is there" becomes in_flight 0
slice a a-1 8012 && reload

# A KIngress' own address, and what probes say there.
curl -s -m 5 -o /dev/null -w '%{http_code}' http://127.0.0.31/echo >"$dir/vip" 3>&- &
last=$!
becomes held 1
slice vip vip-1 8012 127.0.1.1 && reload
wait $last
ok "a request to the address of a Route waits likewise" [ "$(cat "$dir/vip")" = 200 ]
hash_of() { curl -s -m 5 http://127.0.0.31/ "$@" | sed -n 's/.*K-Network-Hash: *\([^\\"]*\).*/\1/p'; }
ok "K-Network-Hash: override becomes the hash" \
	grep -qxE '[0-9a-f]{64}' <(hash_of -H 'K-Network-Hash: override')
ok "any other value is passed on" [ "$(hash_of -H 'K-Network-Hash: other')" = other ]
ok "two values, of which one says override, are not touched" \
	[ "$(curl -s http://127.0.0.31/ -H 'K-Network-Hash: override' -H 'K-Network-Hash: x' |
		grep -o 'K-Network-Hash: [a-z]*' | sort | tr '\n' ' ')" = 'K-Network-Hash: override K-Network-Hash: x ' ]
ok "none where none was" [ -z "$(hash_of)" ]

ask a && becomes held 1
kill -TERM "$pid"
wait $last
ok "a proxy that ends lets nobody wait: 503 after $(seconds "$asked") s" \
	awk "BEGIN {exit !($(answer "$asked") == 503 && $(seconds "$asked") < 1.5)}"
driver=
plan
