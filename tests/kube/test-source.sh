#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The API server as a source of objects: a real one, with etcd and without
# anything else.  What the store holds after every kind of trouble.
# timeout: 300

set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/cluster/lib.sh
. tests/cluster/lib.sh
# shellcheck source=tests/kube/lib.sh
. tests/kube/lib.sh

cluster_begin kube -light
kube_begin
tap_plan 25
kubeconfig=$cluster_state/kubeconfig

route() { # NAME SERVICE
	object '{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute",
		"metadata":{"name":"%s","namespace":"default"},
		"spec":{"parentRefs":[{"name":"gw"}],"rules":[{"backendRefs":
		[{"name":"%s","port":80}]}]}}' "$1" "$2"
}
service() { # NAME
	object '{"apiVersion":"v1","kind":"Service","metadata":{"name":"%s"},
		"spec":{"ports":[{"port":80}]}}' "$1"
}
slice() { # NAME SERVICE ADDRESS
	object '{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice",
		"metadata":{"name":"%s","labels":{"kubernetes.io/service-name":
		"%s"}},"addressType":"IPv4","ports":[{"port":8080}],
		"endpoints":[{"addresses":["%s"]}]}' "$1" "$2" "$3"
}
routes=/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes
services=/api/v1/namespaces/default/services
slices=/apis/discovery.k8s.io/v1/namespaces/default/endpointslices

# ------------------------------------------------- nothing, then CRDs
driver a "kubeconfig=$kubeconfig" node=here
soon a state '.synced and .kinds.Namespace.state == "watching"'
tap_ok $? 'a server without our kinds is synced'
[[ $(grep -c 'does not have' "$work/a.log") == 1 ]] &&
	says a state '.kinds.HTTPRoute.state == "missing" and .kinds.Service.state == "idle"'
tap_ok $? 'which is said in one line'
rig crds experimental >/dev/null
soon a state '.kinds.HTTPRoute.state == "watching" and .kinds.TCPRoute.state == "watching"
	and .synced'
tap_ok $? 'CRDs that come later are picked up'

# ------------------------------------------------- pages, what is kept
for ((i = 0; i < 1100; i++)); do
	route "many-$i" shared
done | post $routes
tap_ok $? '(1100 routes are created)'
{
	service shared
	for ((i = 0; i < 40; i++)); do
		service "other-$i"
	done
} | post $services
{
	slice shared-1 shared 10.1.0.1
	slice shared-2 shared 10.1.0.2
	slice other-1 other-1 10.1.0.3
} | post $slices
soon a state '.kinds.HTTPRoute.kept == 1100 and .kinds.Service.kept == 1 and
	.kinds.EndpointSlice.kept == 2 and .kinds.Service.skipped >= 40 and .synced'
tap_ok $? 'of Services and slices only those are kept that a route names'
driver b "kubeconfig=$kubeconfig"
soon b state '.kinds.HTTPRoute.kept == 1100 and .kinds.Service.kept == 1 and
	.kinds.EndpointSlice.kept == 2 and .synced'
tap_ok $? 'a list of three pages is read whole'
says b state '.client.connections == 1'
tap_ok $? 'all on one connection'

# ------------------------------------------------- references that come later
kubectl patch httproute many-7 --type=json -p \
	'[{"op":"replace","path":"/spec/rules/0/backendRefs/0/name","value":"other-1"}]' >/dev/null
soon a state '.kinds.Service.kept == 2 and .kinds.EndpointSlice.kept == 3 and .synced'
tap_ok $? 'a Service that is named later is looked up, with its slices'

kubectl create namespace shop >/dev/null
pod() { # NAME NODE
	object '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s"},"spec":{"nodeName":"%s",
		"automountServiceAccountToken":false,
		"containers":[{"name":"c","image":"x"}]}}' "$1" "$2"
}
consumer() { # NAME, of the other namespace's Service
	object '{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute",
		"metadata":{"name":"%s"},"spec":{"parentRefs":[{"group":"","kind":"Service",
		"namespace":"default","name":"shared","port":80}]}}' "$1"
}
kubectl create serviceaccount -n shop default >/dev/null
kubectl create serviceaccount -n default default >/dev/null
{
	pod here here
	pod there there
} | post /api/v1/namespaces/shop/pods
pod elsewhere here | post /api/v1/namespaces/default/pods
says a state '.kinds.Pod.state == "idle"'
tap_ok $? 'Pods are not asked for'
consumer consumer | post /apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes
soon a 'list Pod' '[.[].name] == ["here"]'
tap_ok $? 'a consumer route brings the Pods of its namespace that are on the node'
pod later here | post /api/v1/namespaces/shop/pods
kubectl patch pod -n shop later --subresource=status --type=merge -p \
	'{"status":{"phase":"Running","podIPs":[{"ip":"10.1.0.9"}]}}' >/dev/null
soon a 'list Pod' '[.[].name] | sort == ["here","later"]'
tap_ok $? 'and those that come later'
kubectl delete httproute -n shop consumer >/dev/null
soon a state '.kinds.HTTPRoute.kept == 1100'

# ------------------------------------------------- what decides and what not
version=$(get a state .store_version)
hash=$(get a 'list HTTPRoute' '.[] | select(.name == "many-1").status')
kubectl patch httproute many-1 --subresource=status --type=merge -p '{"status":{"parents":[
	{"parentRef":{"name":"gw"},"controllerName":"example.com/other","conditions":
	[{"type":"Accepted","status":"True","reason":"Accepted","message":"","lastTransitionTime":
	"2026-01-01T00:00:00Z"}]}]}}' >/dev/null
soon a 'list HTTPRoute' ".[] | select(.name == \"many-1\").status != \"$hash\""
tap_ok $? 'the hash of the observed status follows'
says a state ".store_version == $version"
tap_ok $? 'a change of status alone leaves the store as it is'
kubectl label httproute many-1 a=b >/dev/null
soon a state ".store_version == $version + 1"
tap_ok $? 'a change of labels does not'
kubectl delete httproute many-2 >/dev/null
soon a state '.kinds.HTTPRoute.kept == 1099'
tap_ok $? 'a deletion is seen'

# ------------------------------------------------- a secret, a config map
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=a.example \
	-keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null
kubectl create secret tls named --cert="$work/tls.crt" --key="$work/tls.key" >/dev/null
kubectl create secret tls unnamed --cert="$work/tls.crt" --key="$work/tls.key" >/dev/null
kubectl create secret generic opaque --from-literal=a=b >/dev/null
says a state '.kinds.Secret.state == "idle"'
tap_ok $? 'no Secret is asked for before one is named'
object '{"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway",
	"metadata":{"name":"gw"},"spec":{"gatewayClassName":"weir","listeners":
	[{"name":"s","port":443,"protocol":"HTTPS","tls":{"certificateRefs":
	[{"name":"named"}]}}]}}' |
	post /apis/gateway.networking.k8s.io/v1/namespaces/default/gateways
soon a state '.kinds.Secret.kept == 1 and .kinds.Secret.skipped == 1'
tap_ok $? 'then only certificates travel, and only the named one is kept'

# ------------------------------------------------- the server goes and comes
before=$(ask a state)
kill -9 "$(rig status | awk '$1 == "control/kube-apiserver" {print $3}')"
soon a state '.kinds.HTTPRoute.state == "away"'
says a state ".kinds.HTTPRoute.kept == 1099 and .synced and
	.store_version == $(jq .store_version <<<"$before")"
tap_ok $? 'while the server is away everything stays'
revision=$(on 1 curl -s http://127.0.0.1:2379/v3/kv/range -d '{"key":"AA=="}' | jq -r .header.revision)
on 1 curl -sf http://127.0.0.1:2379/v3/kv/compaction -d "{\"revision\":\"$revision\",\"physical\":true}" >/dev/null
tap_ok $? '(etcd is compacted meanwhile)'
rig api-stop
rig api-start >/dev/null
kubectl delete httproute many-3 >/dev/null
soon a state '.kinds.HTTPRoute.state == "watching" and .kinds.HTTPRoute.kept == 1098 and .synced and
	([.kinds[] | select(.state == "away")] | length) == 0'
tap_ok $? 'then all comes up to date'
after=$(ask a state)
echo "# lists: $(jq -c '[.kinds[] | .lists]' <<<"$after"), expired: $(jq -c '[.kinds[] | .expired]' <<<"$after")"
jq -e '[.kinds[] | .lists] | max <= 3' <<<"$after" >/dev/null
tap_ok $? 'with at most one list of each kind more'

# ------------------------------------------------- the network goes and comes
driver c -at 0 "kubeconfig=$kubeconfig"
soon c state '.synced and .kinds.HTTPRoute.kept == 1098'
lists=$(get c state '[.kinds[] | .lists] | add')
on 0 nft 'add table inet cut; add chain inet cut in { type filter hook input priority 0; policy drop; }'
kubectl delete httproute many-4 >/dev/null
wait_until 40 says c state '.client.in_flight == 0 or .kinds.HTTPRoute.state == "away"'
tap_ok $? 'a peer that is silent is given up'
on 0 nft delete table inet cut
soon c state '.kinds.HTTPRoute.kept == 1097 and .kinds.HTTPRoute.state == "watching"'
tap_ok $? 'and what happened meanwhile comes'
says c state "([.kinds[] | .lists] | add) == $lists"
tap_ok $? 'without any list'

# ------------------------------------------------- the CRD goes
kubectl delete crd tcproutes.gateway.networking.k8s.io >/dev/null
soon a state '.kinds.TCPRoute.state == "missing" and .synced'
tap_ok $? 'a kind whose CRD is deleted is missing, nothing else is disturbed'
tap_end
