#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Calls from inside the cluster, on real Serving: each Route and tag by its own
# address (weir.dev/private-mode: vip), from pods on both nodes and from a node;
# by request and, where asked for, by connection, over IPv4 and IPv6; pods that take
# one request at once; and the change to the gateway and back while requests come.
# timeout: 560

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/knative/lib.sh

tap_plan 36
knative_begin kn-vip --nodes 2
kubectl apply -f deploy/knative/gateways.yaml >/dev/null

private_mode() { # vip|gateway
	kubectl -n weir-system annotate --overwrite service knative-private \
		"weir.dev/private-mode=$1" >/dev/null
}
client() { # NAMESPACE NODE: a pod
	kubectl -n "$1" apply -f - >/dev/null <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: client-$2}
		spec:
		  nodeName: node-$2
		  containers:
		  - name: sh
		    image: weir.test/machine
		    command: [sleep, "10000"]
		    volumeMounts: [{name: build, mountPath: /mnt}]
		  volumes: [{name: build, hostPath: {path: $WEIR_BUILD/tests}}]
	END
	kubectl -n "$1" wait --for=condition=Ready "pod/client-$2" --timeout=60s >/dev/null
}
from() { # NAMESPACE NODE CMD...
	local ns=$1 node=$2
	shift 2
	kubectl -n "$ns" exec "client-$node" -- "$@"
}
load=/mnt/weir-load # in a pod
ctl() { # NODE CMD...
	local node=$1 cmd=$2
	shift 2
	on "$node" "$WEIR_BUILD/weirctl" "$cmd" --admin "$cluster_state/nodes/node-$node/admin.sock" "$@"
}
address_of() { # SERVICE
	kubectl get service "$1" -o 'jsonpath={.spec.clusterIP}'
}
private_status() { # KINGRESS
	kubectl get king "$1" -o json | jq -r '.status.privateLoadBalancer.ingress |
		if length != 1 then "not one" elif .[0].meshOnly then "meshOnly" else .[0].domainInternal end'
}
says() { # TEXT CMD...
	local want=$1
	shift
	[[ "$("$@")" == "$want" ]]
}
plane() { # NODE ADDRESS: of the frontend
	ctl "$1" dump -o json | jq -r --arg a "$2:80" '.frontends[] | select(.address == $a) | "\(.plane): \(.reason)"'
}
shares() { # FILE NAME N...: how many each answered, give or take 10
	local file=$1
	shift
	echo "# $(jq -c '{backends, failed}' "$file")"
	jq -e '. as $all | $ARGS.positional | [range(0; length; 2) as $i | .[$i] as $name |
		(($all.backends[$name] // 0) - (.[$i + 1] | tonumber) | fabs <= 10)] | all and $all.failed == 0' \
		"$file" --args "$@" >/dev/null
}

# ---------------------------------------------------------------- two revisions
shop() { # ANNOTATIONS-JSON
	kubectl apply -f - >/dev/null <<-END
		$(ECHO=shop-1 ksvc shop min-scale=1 target-burst-capacity=0)
	END
	wait_until 60 is_ready_ksvc shop || return 1
	kubectl apply -f - >/dev/null <<-END
		$(ECHO=shop-2 ksvc shop min-scale=1 target-burst-capacity=0)
		  traffic:
		  - {revisionName: shop-00001, percent: 80}
		  - {revisionName: shop-00002, percent: 20, tag: next}
	END
	wait_until 60 is_ready_ksvc shop
}
shop
tap_ok $? "a Knative Service with two revisions and a tag"
kubectl create namespace other >/dev/null
client default 1
client default 2
client other 2
says meshOnly private_status shop
tap_ok $? "its KIngress says meshOnly"
in_serve_mode() {
	[[ "$(sks_mode shop-00001) $(sks_mode shop-00002)" == "Serve Serve" ]]
}
wait_until 30 in_serve_mode
vip=$(address_of shop)
next=$(address_of next-shop)
[[ $vip == 10.96.* && $next == 10.96.* && $vip != "$next" ]]
tap_ok $? "the Route and the tag have an address each: $vip and $next"
answers() { # HOST CMD...
	local host=$1
	shift
	[[ $("$@" curl -s -m 10 -o /dev/null -w '%{http_code}' "http://$host/") == 200 ]]
}
for host in shop shop.default shop.default.svc shop.default.svc.cluster.local; do
	answers $host from default 1 && answers $host from default 2
	tap_ok $? "by the name $host from pods on both nodes"
done
answers shop.default from other 2
tap_ok $? "from another namespace"
answers "$vip" on 1 && answers "$vip" on 2
tap_ok $? "from the nodes, by the address"

for node in 1 2; do
	from default $node "$load" -c 4 -n 1000 --keepalive "http://$vip/" >"$cluster_state/keep.json"
	shares "$cluster_state/keep.json" shop-1 800 shop-2 200
	tap_ok $? "80 and 20 % of the requests of 4 connections, from a pod of node $node"
done
on 2 "$WEIR_BUILD/tests/weir-load" -c 4 -n 1000 "http://$vip/" >"$cluster_state/host.json"
shares "$cluster_state/host.json" shop-1 800 shop-2 200
tap_ok $? "likewise of new connections, from node 2"
from default 1 "$load" -c 2 -n 200 --keepalive "http://$next/" >"$cluster_state/next.json"
shares "$cluster_state/next.json" shop-2 200
tap_ok $? "the tag's address leads to its revision alone"
says "proxy: weight is a share of requests" plane 1 "$vip"
tap_ok $? "all of it by request: $(plane 1 "$vip")"

# ---------------------------------------------------------------- over IPv6
# Serving asks for no family; what the Service has been given stays.
kubectl patch service shop --type=merge -p '{"spec":{"ipFamilyPolicy":"RequireDualStack"}}' >/dev/null
address6_of() { # SERVICE
	kubectl get service "$1" -o json | jq -r '.spec.clusterIPs[] | select(contains(":"))'
}
vip6=$(address6_of shop)
is_taken6() {
	says "proxy: weight is a share of requests" plane 1 "[$vip6]" && says "proxy: weight is a share of requests" plane 2 "[$vip6]"
}
[[ -n $vip6 ]] && wait_until 15 is_taken6
tap_ok $? "an IPv6 address of the Route is taken, too: $vip6"
from default 1 "$load" -c 4 -n 500 --keepalive "http://[$vip6]/" >"$cluster_state/six.json"
shares "$cluster_state/six.json" shop-1 400 shop-2 100
tap_ok $? "80 and 20 % of the requests there, from a pod of node 1"
on 2 "$WEIR_BUILD/tests/weir-load" -c 4 -n 500 "http://[$vip6]/" >"$cluster_state/six.json"
shares "$cluster_state/six.json" shop-1 400 shop-2 100
tap_ok $? "likewise of new connections, from node 2"

# ---------------------------------------------------------------- by connection
# Loads at the address while it changes how it is divided, in pieces of 8 s: of
# connections that stay, and of new ones.
moving() { # FILE NODE FLAG...
	local file=$1 node=$2
	shift 2
	while [[ -e $cluster_state/moving ]]; do
		from default "$node" "$load" -c 4 -t 8 --failures "$@" "http://$vip/" >>"$file" 2>>"$file.err"
	done
}
touch "$cluster_state/moving"
moving "$cluster_state/stay.json" 1 -r 200 --keepalive &
stay=$!
moving "$cluster_state/new.json" 2 -r 100 &
new=$!
kubectl annotate ksvc shop weir.dev/split=connection >/dev/null
is_split() {
	says "connect+packet: weir.dev/split: connection" plane 1 "$vip" &&
		says "connect+packet: weir.dev/split: connection" plane 2 "$vip"
}
wait_until 30 is_split
tap_ok $? "with weir.dev/split: connection on the Knative Service: $(plane 1 "$vip")"
from default 2 "$load" -c 4 -n 500 "http://$vip/" >"$cluster_state/split.json"
shares "$cluster_state/split.json" shop-1 400 shop-2 100
tap_ok $? "80 and 20 % of new connections, from a pod"
on 1 "$WEIR_BUILD/tests/weir-load" -c 4 -n 500 --check-peer "http://$vip/" >"$cluster_state/split.json"
shares "$cluster_state/split.json" shop-1 400 shop-2 100
tap_ok $? "likewise from a node"
says "connect+packet: weir.dev/split: connection" plane 2 "[$vip6]"
tap_ok $? "by connection over IPv6, too: $(plane 2 "[$vip6]")"
from default 2 "$load" -c 4 -n 500 "http://[$vip6]/" >"$cluster_state/six.json"
shares "$cluster_state/six.json" shop-1 400 shop-2 100
tap_ok $? "80 and 20 % of new connections there, from a pod"
on 1 "$WEIR_BUILD/tests/weir-load" -c 4 -n 500 --check-peer "http://[$vip6]/" >"$cluster_state/six.json"
shares "$cluster_state/six.json" shop-1 400 shop-2 100
tap_ok $? "likewise from a node"
# A revision that has the activator before it for a moment, as one that wakes
# has, until the autoscaler sees that it should not: by request, and by connection
# once it has been quiet for a while.
is_flapping() {
	kubectl patch serverlessservices.networking.internal.knative.dev shop-00001 --type=merge \
		-p '{"spec":{"mode":"Proxy"}}' >/dev/null
	[[ $(plane 1 "$vip") == proxy:* ]]
}
wait_until 30 is_flapping
tap_ok $? "a revision that has the activator before it for a moment: $(plane 1 "$vip")"
wait_until 30 says "proxy: split by connection asked, but a revision slept until a moment ago" plane 1 "$vip"
tap_ok $? "in Serve mode again, it stays so at first: $(plane 1 "$vip")"
wait_until 60 is_split
tap_ok $? "and is by connection in the end: $(plane 1 "$vip")"
kubectl annotate ksvc shop weir.dev/split- >/dev/null
is_by_request() {
	says "proxy: weight is a share of requests" plane 1 "$vip"
}
wait_until 30 is_by_request
tap_ok $? "and by request again without it"
rm "$cluster_state/moving"
wait $stay $new
echo "# $(jq -sc '[(map(.completed) | add), (map(.failed) | add)]' "$cluster_state/stay.json") and $(jq -sc '[(map(.completed) | add), (map(.failed) | add)]' "$cluster_state/new.json"): completed, failed"
head -n 3 "$cluster_state/stay.json.err" "$cluster_state/new.json.err" | sed 's/^/# /'
jq -se 'all(.failed == 0) and (map(.completed) | add) > 1000' "$cluster_state/stay.json" >/dev/null &&
	jq -se 'all(.failed == 0) and (map(.completed) | add) > 500' "$cluster_state/new.json" >/dev/null
tap_ok $? "none failed while all that was changed, on connections that stay and on new ones"

# ---------------------------------------------------------------- one at once
# Serve mode, and pods whose queue-proxy lets in one request: a request that is
# sent to a busy one waits there though the other may be free (serving issue
# 15663), unless it waits in the proxy.
ksvc single min-scale=2 max-scale=2 target-burst-capacity=0 |
	sed 's/^    spec:$/&\n      containerConcurrency: 1/' | kubectl apply -f - >/dev/null
is_single_served() {
	is_ready_ksvc single && [[ $(sks_mode single-00001) == Serve &&
		$(ctl 1 dump -o json | jq '.groups[] | select(.concurrency == 1) | .endpoints | length') == 2 ]]
}
wait_until 90 is_single_served
tap_ok $? "a Knative Service with containerConcurrency 1 and two pods: the plan says so"
single=$(address_of single)
queued() {
	on 1 curl -s http://127.0.0.1:9707/metrics | sed -n 's/^weir_proxy_events_total{reason="queued"} //p'
}
# 8 connections, 4 of them at most can be under way in 0.05 s a request and two
# pods; each request is a turn of its own.
from default 1 "$load" -c 8 -n 400 --keepalive "http://$single/delay/20" >"$cluster_state/single.json"
echo "# $(jq -c '{completed, failed, seconds, latency_us}' "$cluster_state/single.json"), queued $(queued)"
jq -e '.failed == 0 and .completed == 400' "$cluster_state/single.json" >/dev/null && (($(queued) > 100))
tap_ok $? "8 connections at once: all are answered, most after they waited in the proxy"
# 400 requests of 20 ms in two places take 4 s at least; blind choice leaves a
# pod idle while the other has a queue, fair turns leave none.
jq -e '.latency_us.p99 < 8 * .latency_us.p50' "$cluster_state/single.json" >/dev/null
tap_ok $? "none waits much longer than the others"

# ---------------------------------------------------------------- to the gateway
# Two loads at the address that was resolved, one that resolves the name each
# time: Serving takes the address from a Service by making it anew, so that its
# name is gone for a moment.
by_name() { # FILE
	from default 2 sh -c 'end=$(($(date +%s) + 25))
		while [ $(date +%s) -lt $end ]; do
			curl -s -m 10 -o /dev/null -w "%{http_code} %{exitcode}\n" http://shop.default.svc.cluster.local/
		done' >"$1"
}
from default 1 "$load" -c 4 -t 25 -r 400 --keepalive --failures "http://$vip/" >"$cluster_state/a.json" 2>"$cluster_state/a.err" &
a=$!
from default 2 "$load" -c 4 -t 25 -r 200 --failures "http://$vip/" >"$cluster_state/b.json" 2>"$cluster_state/b.err" &
b=$!
by_name "$cluster_state/names" &
c=$!
private_mode gateway
type_of() {
	kubectl get service "$1" -o 'jsonpath={.spec.type}'
}
is_at_gateway() {
	[[ $(private_status shop) == knative-private.weir-system.svc.cluster.local &&
		"$(type_of shop) $(type_of next-shop)" == "ExternalName ExternalName" ]]
}
wait_until 15 is_at_gateway
tap_ok $? "in gateway mode its KIngress names the gateway, and Serving follows"
wait_until 5 answers shop.default from default 1
tap_ok $? "by the same name, at the gateway"
private_mode vip
is_at_vip() {
	[[ $(private_status shop) == meshOnly && "$(type_of shop) $(type_of next-shop)" == "ClusterIP ClusterIP" ]]
}
wait_until 15 is_at_vip
is_new_served() {
	answers shop.default from default 1 && answers next-shop.default from default 1
}
wait_until 5 is_new_served
tap_ok $? "and back at addresses of their own: $(address_of shop) and $(address_of next-shop)"
wait $a $b $c
echo "# at the address: $(jq -c '{completed, failed}' "$cluster_state/a.json") $(jq -c '{completed, failed}' "$cluster_state/b.json"); by name: $(sort "$cluster_state/names" | uniq -c | xargs)"
head -n 3 "$cluster_state/a.err" "$cluster_state/b.err" | sed 's/^/# /'
jq -se 'length == 2 and all(.failed == 0 and .completed > 1000)' "$cluster_state/a.json" "$cluster_state/b.json" >/dev/null
tap_ok $? "meanwhile no request to the address that was resolved before failed"
# 6: the name is not there.
awk '!/^(200 0|000 6)$/ { bad++ } /^200/ { n++ } END { exit bad || n < 100 }' "$cluster_state/names"
tap_ok $? "and none by name, but while Serving had no Service of the name"
tap_end
