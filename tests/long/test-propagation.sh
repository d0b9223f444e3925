#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# 3 000 HTTPRoutes on a real API server: added one by one under load without a
# failed request and with one write of status each; then how long one more takes
# from its event to its first answer.
# REALTIME=1 is for a machine that does other things, too, so that the numbers are
# weir's and not the scheduler's: what is measured has real-time priority, and the
# API server comes before others.
# timeout: 900

set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/cluster/lib.sh
. tests/cluster/lib.sh

n_routes=${ROUTES:-3000}
n_measured=${MEASURED:-200}
first=()
[[ -z ${REALTIME:-} ]] || first=(chrt -f 10)

cluster_begin propagation -light
tap_plan 9
rig crds experimental >/dev/null
pki=$cluster_state/pki
work=$(mktemp -d "/tmp/$CLUSTER.XXXXXX")

metric() { # NAME
	on 1 curl -s http://127.0.0.1:9707/metrics |
		awk -v name="$1" '$1 == name { print $2 }'
}
updates() { # KIND RESULT
	metric "weir_kube_status_updates_total{group=\"gateway.networking.k8s.io\",kind=\"$1\",result=\"$2\"}"
}
asks() { # HOST -> status
	on 0 curl -s -m 2 -o /dev/null -w '%{http_code}' -H "host: $1" http://10.1.0.1/
}
is_answered() { # HOST STATUS
	[[ "$(asks "$1")" == "$2" ]]
}
routes() { # add FIRST N | measure FIRST N PAUSE_MS
	on 0 "${first[@]}" /usr/bin/python3 tests/long/propagation.py https://10.240.0.1:6443 \
		"$pki/ca.crt" "$pki/admin.crt" "$pki/admin.key" 10.1.0.1 "$@"
}

kubectl apply -f tests/cluster/manifests/gateway.yaml -f - >/dev/null <<'END'
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: None, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.240.0.250]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: steady, namespace: default}
spec:
  parentRefs: [{name: gw}]
  hostnames: [steady.example.com]
  rules: [{backendRefs: [{name: web, port: 80}]}]
END
on 0 "${first[@]}" "$WEIR_BUILD/tests/weir-echo" --name web http:10.240.0.250:8080 >/dev/null 2>&1 &
disown
on 0 ip route add 10.1.0.1 via 10.240.0.1
# shellcheck disable=SC2016 # expanded there
rig spawn -node 1 -program weir -- "${first[@]}" bash -c 'exec "$0" --kubeconfig "$KUBECONFIG" \
	--node-name node-1 --cgroup "$NODE_CGROUP" --pin-dir "$NODE_BPFFS/weir" \
	--admin "$NODE_DIR/admin.sock"' "$WEIR_BUILD/weir-agent"
wait_until 20 is_answered steady.example.com 200
tap_ok $? 'a first route is served'
((tap_failed == 0)) || exit 1

# -------------------------------------------------------- one by one, under load
load() { # NAME ARG...
	on 0 "$WEIR_BUILD/tests/weir-load" -t 600 --failures "${@:2}" --connect 10.1.0.1:80 \
		--status "$work/$1" http://steady.example.com/ >/dev/null 2>"$work/$1.log" &
	disown
}
load kept -r 300 -c 16 --keepalive
load new -r 100
wait_until 5 test -s "$work/new"
routes add 1 "$n_routes" >"$work/added"
tap_ok $? "$n_routes routes are created"
echo "# in $(jq .seconds "$work/added") s"
wait_until 60 is_answered "r$n_routes.example.com" 200
tap_ok $? 'the last one is served'
settled() {
	[[ "$(kubectl get gateway gw -o 'jsonpath={.status.listeners[0].attachedRoutes}')" == $((n_routes + 1)) &&
		"$(metric weir_kube_status_waiting)" == 0 ]]
}
wait_until 120 settled
tap_ok $? 'all are counted'
n=$(updates HTTPRoute written)
gateways=$(updates Gateway written)
echo "# $n writes for $((n_routes + 1)) routes, $gateways for the Gateway, $(metric weir_compiles_total) compilations"
((n <= n_routes + 1 && gateways <= 200))
tap_ok $? 'each route is written once at most, the Gateway 200 times at most'

# ------------------------------------------------------------------ how long
log=$cluster_state/log/node-1.weir.log
lines=$(wc -l <"$log")
routes measure $((n_routes + 1)) "$n_measured" 100 >"$work/measured"
tap_ok $? "$n_measured more are served"
# From the moment the agent has read an event to that when proxy and kernel have
# acknowledged the plan, by its own clock; then what a client sees that watches
# and asks all the time.  The API server may tell the agent first, and answers
# the creation last: so these may be negative.
tail -n +$((lines + 1)) "$log" | sed -n 's/.*effect_us=\([0-9]*\).*/\1/p' | sort -n |
	awk '{ v[NR] = $1 } END {
		printf "{\"n\":%d,\"median_us\":%d,\"p90_us\":%d,\"p99_us\":%d,\"max_us\":%d}\n",
			NR, v[int((NR + 1) / 2)], v[int(NR * 0.9)], v[int(NR * 0.99)], v[NR] }' >"$work/effect"
echo "# event to acknowledgement: $(cat "$work/effect")"
echo "# as seen from outside: $(cat "$work/measured")"
if [[ -n ${REALTIME:-} ]]; then
	jq -e ".n >= $n_measured and .median_us <= 10000 and .p99_us <= 50000" "$work/effect" >/dev/null
	tap_ok $? 'the median within 10 ms, 99 of 100 within 50 ms'
else
	tap_skip 'the median within 10 ms, 99 of 100 within 50 ms' 'only with REALTIME=1'
fi
jq -e '.odd == 0' "$work/measured" >/dev/null
tap_ok $? 'none of them was anything but absent before'
for name in kept new; do
	echo "# $name: $(jq -c '{failed, errors, backends}' "$work/$name")"
done
jq -es 'map(.failed == 0 and ([.backends[]] | add) > 1000) | all' "$work/kept" "$work/new" >/dev/null
tap_ok $? 'no request failed'
rm -rf "$work"
tap_end
