#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The API server is away for a minute under traffic, and etcd is changed and
# compacted meanwhile: no request fails, and afterwards everything is as etcd
# says, with one list of each kind and no more writes than there were changes.
# timeout: 300

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh

outage_s=${OUTAGE:-60}

cluster_begin outage -nodes 2
tap_plan 12
rig crds experimental >/dev/null

server() { # NAME NODE
	cat <<-END
		---
		{apiVersion: v1, kind: Service, metadata: {name: $1}, spec: {selector: {app: $1}, ports: [{port: 80, targetPort: 8080}]}}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, labels: {app: $1}}
		spec:
		  nodeName: node-$2
		  containers:
		  - name: echo
		    image: weir.test/tools
		    args: [--name, $1, "http:0.0.0.0:8080"]
		    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
	END
}
route() { # NAME HOST PARENT BACKEND
	cat <<-END
		---
		apiVersion: gateway.networking.k8s.io/v1
		kind: HTTPRoute
		metadata: {name: $1, namespace: default}
		spec:
		  parentRefs: [$3]
		  $([[ -z $2 ]] || echo "hostnames: [$2]")
		  rules: [{backendRefs: [{name: $4, port: 80}]}]
	END
}
metrics() { # NAME: of all agents, as "node LABELS VALUE"
	local n
	for n in 1 2; do
		on $n curl -s -m 2 http://127.0.0.1:9707/metrics |
			sed -n "s/^$1\({[^}]*}\|\) /$n &/p"
	done
}
sum() { # NAME[ and FILTER for awk]
	metrics "$1" | awk "${2:-1}"' { n += $NF } END { print n + 0 }'
}
asks() { # HOST
	on 0 curl -s -m 2 -H "host: $1" http://10.1.0.1/ |
		sed -n 's/.*"name":"\([a-z]*\)".*/\1/p'
}
is_answered() { # HOST BY
	[[ "$(asks "$1")" == "$2" ]]
}
is_watching() {
	[[ "$(sum weir_kube_kind_watching '/gateway.networking/')" == "$1" ]]
}

# Not through the API server: it is away.
etcd() { # CALL JSON
	on 1 curl -sf "http://127.0.0.1:2379/v3/kv/$1" -d "$2"
}
etcd_key() { # ROUTE
	printf '/registry/gateway.networking.k8s.io/httproutes/default/%s' "$1" | base64 -w0
}
etcd_edit() { # ROUTE FILTER
	local value
	value=$(etcd range "{\"key\":\"$(etcd_key "$1")\"}" |
		jq -r '.kvs[0].value' | base64 -d | jq -c "$2" | base64 -w0)
	etcd put "{\"key\":\"$(etcd_key "$1")\",\"value\":\"$value\"}" >/dev/null
}

{
	server blue 1
	server green 2
	server web 1
	route steady steady.example.com '{name: gw}' blue
	route edited edited.example.com '{name: gw}' blue
	route gone gone.example.com '{name: gw}' blue
	route mesh '' '{group: "", kind: Service, name: web, port: 80}' green
	for ((i = 0; i < 200; i++)); do
		route "more-$i" "more-$i.example.com" '{name: gw}' blue
	done
} | kubectl apply -f tests/cluster/manifests/gateway.yaml -f - >/dev/null
on 0 ip route add 10.1.0.1 via 10.240.0.1
rig weir up >/dev/null
cluster_prefer
kubectl wait --for=condition=Ready pod --all --timeout=60s >/dev/null &&
	wait_until 30 is_answered gone.example.com blue
tap_ok $? 'routes are served'
web=$(kubectl get service web -o 'jsonpath={.spec.clusterIP}')
wait_until 10 on 2 curl -sf -m 1 -o /dev/null "http://$web/"
settled() {
	[[ "$(kubectl get gateway gw -o 'jsonpath={.status.listeners[0].attachedRoutes}')" == 203 &&
		"$(sum weir_kube_status_waiting)" == 0 ]]
}
wait_until 30 settled
tap_ok $? 'and counted'

# ------------------------------------------------------------------ traffic
work=$(mktemp -d "/tmp/$CLUSTER.XXXXXX")
duration=$((outage_s + 20))
names=()
pids=()
load() { # NAME NODE ARG...
	on "$2" "$WEIR_BUILD/tests/weir-load" -t $duration --failures "${@:3}" >"$work/$1" 2>"$work/$1.log" &
	names+=("$1")
	pids+=($!)
}
load gateway-kept 0 -r 100 -c 8 --keepalive --connect 10.1.0.1:80 http://steady.example.com/
load gateway-new 0 -r 50 --connect 10.1.0.1:80 http://steady.example.com/
load mesh-kept 2 -r 100 -c 8 --keepalive "http://$web/"
load mesh-new 2 -r 50 "http://$web/"

# --------------------------------------------------------- the server is away
metrics weir_kube_lists_total | sort >"$work/lists"
updates=$(sum weir_kube_status_updates_total '/written/')
writes=$(sum weir_kube_writes_total)
requests=$(sum weir_kube_requests_total)
kill -9 "$(rig status | awk '$1 == "control/kube-apiserver" {print $3}')"
away=$SECONDS
wait_until 10 is_watching 0
tap_ok $? 'the server is away, and both agents know'
etcd_edit edited '.spec.rules[0].backendRefs[0].name = "green" | .metadata.generation += 1' &&
	etcd deleterange "{\"key\":\"$(etcd_key gone)\"}" >/dev/null
tap_ok $? '(a route is changed, another one deleted)'
revision=$(etcd range '{"key":"AA=="}' | jq -r .header.revision)
etcd compaction "{\"revision\":\"$revision\",\"physical\":true}" >/dev/null
tap_ok $? '(and etcd is compacted)'
is_answered edited.example.com blue && is_answered gone.example.com blue
tap_ok $? 'what was known stays in force'
while ((SECONDS - away < outage_s)); do
	sleep 1
done
asked=$(($(sum weir_kube_requests_total) - requests))
echo "# $asked requests of two agents in $outage_s s without a server"
rig api-stop
cluster_preferring rig api-start >/dev/null
came=$(date +%s%N)

# ------------------------------------------------------------- it comes back
wait_until 30 is_answered edited.example.com green
tap_ok $? 'an edit is followed'
echo "# $((($(date +%s%N) - came) / 1000000)) ms after the server was back"
is_gone() {
	[[ "$(on 0 curl -s -m 2 -o /dev/null -w '%{http_code}' -H 'host: gone.example.com' http://10.1.0.1/)" == 404 ]]
}
wait_until 30 is_gone
tap_ok $? 'and a deletion'
all_watch() { # seven kinds on each of two agents, and policies
	[[ "$(metrics weir_kube_kind_watching | grep -c 'gateway.networking.* 1$')" == \
	"$(metrics weir_kube_kind_watching | grep -c 'gateway.networking')" ]]
}
wait_until 30 all_watch
counted() {
	[[ "$(kubectl get gateway gw -o 'jsonpath={.status.listeners[0].attachedRoutes}')" == 202 &&
		"$(kubectl get httproute edited -o 'jsonpath={.status.parents[0].conditions[0].observedGeneration}')" == 2 ]]
}
wait_until 30 counted
tap_ok $? 'status tells both'
for i in "${!names[@]}"; do
	wait "${pids[i]}" 2>/dev/null
done
failed=0
for i in "${names[@]}"; do
	jq -e '.failed == 0 and ([.backends[]] | add) > 1000' <"$work/$i" >/dev/null || failed=1
	echo "# $i: $(jq -c '{failed, errors, backends}' <"$work/$i" | cut -c1-300)"
done
((failed == 0))
tap_ok $? 'no request failed, new connections and kept ones, Gateway and Service'

metrics weir_kube_lists_total | sort >"$work/lists2"
most=$(paste -d' ' "$work/lists" "$work/lists2" |
	awk '{ n = $6 - $3; if (n > most) most = n; all += n } END { print most + 0, all + 0 }')
echo "# lists: at most ${most% *} of a kind, ${most#* } in all"
[[ $most == 1\ * ]]
tap_ok $? 'each kind was listed once more at most'
n=$(($(sum weir_kube_status_updates_total '/written/') - updates))
echo "# $n updates of status, $(($(sum weir_kube_writes_total) - writes)) writes with Leases and Events"
((n >= 2 && n <= 6))
tap_ok $? 'status was written for what changed, and for nothing else'
rm -rf "$work"
tap_end
