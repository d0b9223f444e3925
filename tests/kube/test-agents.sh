#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Who may read, who writes, and what each has applied: rights, tokens, conflicts
# and Leases on a real API server.
# timeout: 300

set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/cluster/lib.sh
. tests/cluster/lib.sh
# shellcheck source=tests/kube/lib.sh
. tests/kube/lib.sh

cluster_begin kube-agents -light
kube_begin
tap_plan 23
kubeconfig=$cluster_state/kubeconfig
rig crds experimental >/dev/null
object '{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute",
	"metadata":{"name":"r","namespace":"default"},"spec":{"parentRefs":
	[{"name":"gw"}]}}' | post /apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes
kubectl create namespace weir >/dev/null

# ------------------------------------------------- rights and tokens
kubectl apply -f - >/dev/null <<'EOY'
apiVersion: v1
kind: ServiceAccount
metadata: {name: little, namespace: weir}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: enough, namespace: weir}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: little}
rules:
- {apiGroups: [""], resources: [namespaces], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: enough}
rules:
- {apiGroups: [""], resources: [namespaces, services, secrets, configmaps], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
- {apiGroups: [gateway.networking.k8s.io], resources: ["*"], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: little}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: little}
subjects: [{kind: ServiceAccount, name: little, namespace: weir}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: enough}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: enough}
subjects: [{kind: ServiceAccount, name: enough, namespace: weir}]
EOY
pod=$work/pod
mkdir "$pod"
cp "$cluster_state/pki/ca.crt" "$pod/ca.crt"
echo weir >"$pod/namespace"
token() { # TEXT
	printf '%s\n' "$1" >"$pod/token.new"
	mv "$pod/token.new" "$pod/token"
}
token "$(kubectl create token little -n weir)"
driver_env=(KUBERNETES_SERVICE_HOST=10.240.0.1 KUBERNETES_SERVICE_PORT=6443)
driver pod "cluster=$pod"
driver_env=()
soon pod state '.synced and .kinds.HTTPRoute.state == "forbidden" and .kinds.Namespace.kept >= 1'
tap_ok $? 'kinds that may not be read keep nobody waiting'
get pod state .kinds.HTTPRoute.message | grep -q 'system:serviceaccount:weir:little.*cannot list'
tap_ok $? 'the server says who may not do what'
[[ $(grep -c 'HTTPRoute is forbidden' "$work/pod.log") == 1 ]]
tap_ok $? 'which is logged once'
token "$(kubectl create token enough -n weir)"
wait_until 30 says pod state '.kinds.HTTPRoute.state == "watching" and .kinds.HTTPRoute.kept == 1'
tap_ok $? 'a token that is replaced is used'
n=$(grep -c 'HTTPRoute is forbidden' "$work/pod.log")
[[ $n == 1 ]]
tap_ok $? "(still logged once: $n)"
token wrong
driver_env=(KUBERNETES_SERVICE_HOST=10.240.0.1 KUBERNETES_SERVICE_PORT=6443)
driver wrong "cluster=$pod"
driver_env=()
soon wrong state '.kinds.Namespace.state == "forbidden" and .kinds.Namespace.message == "HTTP 401: Unauthorized"'
tap_ok $? 'a wrong token is told as such'
says wrong state '.synced | not'
tap_ok $? 'and nothing is synced by it'
token "$(kubectl create token enough -n weir)"
soon wrong state '.synced and .kinds.HTTPRoute.kept == 1'
tap_ok $? 'until it is mended'
! grep -q "$(cut -c1-60 "$pod/token")" "$work"/*.log
tap_ok $? 'no token is in a log'

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=other \
	-keyout "$work/ca.key" -out "$work/ca.crt" 2>/dev/null
sed "s/certificate-authority-data: [^,}]*/certificate-authority-data: $(base64 -w0 "$work/ca.crt")/" \
	"$kubeconfig" >"$work/kubeconfig"
driver stranger "kubeconfig=$work/kubeconfig"
soon stranger state '.kinds.Namespace.state == "away" and (.kinds.Namespace.message | test("certificate"))'
tap_ok $? 'a server that another CA vouches for is not talked to'
cp -r "$pod" "$work/rotated"
cp "$work/ca.crt" "$work/rotated/ca.crt"
driver_env=(KUBERNETES_SERVICE_HOST=10.240.0.1 KUBERNETES_SERVICE_PORT=6443)
driver rotated "cluster=$work/rotated"
driver_env=()
soon rotated state '.kinds.Namespace.state == "away" and (.kinds.Namespace.message | test("certificate"))'
tap_ok $? 'nor is one by a pod that has another CA'
cp "$cluster_state/pki/ca.crt" "$work/rotated/ca.new"
mv "$work/rotated/ca.new" "$work/rotated/ca.crt"
soon rotated state '.synced and .kinds.HTTPRoute.kept == 1'
tap_ok $? 'until the file has another: it is read again'

# ------------------------------------------------- two who write
driver w1 "kubeconfig=$kubeconfig"
driver w2 "kubeconfig=$kubeconfig"
soon w1 state '.kinds.HTTPRoute.state == "watching"' && soon w2 state '.kinds.HTTPRoute.state == "watching"'
ask w1 'increment HTTPRoute default r 50' >/dev/null
ask w2 'increment HTTPRoute default r 50' >/dev/null
soon w1 written '.written == 50' && soon w2 written '.written == 50'
tap_ok $? 'a hundred conflicting writes end'
echo "# conflicts: $(get w1 written .conflicts) and $(get w2 written .conflicts)"
[[ $(kubectl get httproute r -o 'jsonpath={.metadata.annotations.test/count}') == 100 ]] &&
	(($(get w1 written .conflicts) > 0))
tap_ok $? 'and none is lost'

# ------------------------------------------------- Leases
for n in 1 2 3; do
	driver "n$n" "kubeconfig=$kubeconfig" leases=weir "node=n$n" duration_ms=4000
done
for n in 1 2 3; do
	soon "n$n" state .synced
	ask "n$n" applied >/dev/null
done
writers() {
	for n in "$@"; do
		get "n$n" members '.writer | select(.)'
	done | wc -l
}
one_writer() { # NUMBERS...
	[[ $(writers "$@") == 1 ]]
}
soon n1 members '[.members[] | select(.live)] | length == 3' && wait_until 10 one_writer 1 2 3
tap_ok $? 'three members, and one of them writes'
kubectl label httproute r x=y >/dev/null
version=$(kubectl get httproute r -o 'jsonpath={.metadata.resourceVersion}')
soon n1 members ".routes >= $version and (.have | not)"
tap_ok $? 'what nobody has said to have applied is not had'
for n in 1 2; do
	soon "n$n" members ".routes >= $version"
	ask "n$n" applied >/dev/null
done
soon n1 members '[.members[] | select(.routes >= '"$version"')] | length == 2'
says n1 members '.have | not'
tap_ok $? 'nor what one of three has not'
soon n3 members ".routes >= $version"
ask n3 applied >/dev/null
soon n1 members .have
tap_ok $? 'but what all have'

for n in 1 2 3; do
	if says "n$n" members .writer; then
		writer=$n
	fi
done
mapfile -t others < <(printf '%s\n' 1 2 3 | grep -v "$writer")
killed=$(date +%s%3N)
kill -9 "$(get "n$writer" state .pid)"
wait_until 12 one_writer "${others[@]}"
tap_ok $? 'a writer that is killed is followed by another'
echo "# after $(($(date +%s%3N) - killed)) ms of a Lease of 4000"
kubectl label httproute r x=z --overwrite >/dev/null
version=$(kubectl get httproute r -o 'jsonpath={.metadata.resourceVersion}')
for n in "${others[@]}"; do
	soon "n$n" members ".routes >= $version"
	ask "n$n" applied >/dev/null
done
soon "n${others[0]}" members .have
tap_ok $? 'the dead keep nobody waiting'

# ------------------------------------------------- what the gone have left
kubectl apply -f - >/dev/null <<'EOY'
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: enough, namespace: weir}
rules:
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, list, watch, create, update, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: enough, namespace: weir}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: enough}
subjects: [{kind: ServiceAccount, name: enough, namespace: weir}]
EOY
for n in "${others[@]}"; do
	kill -9 "$(get "n$n" state .pid)"
done
object '{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"weir-agent-old",
	"namespace":"weir","labels":{"weir.dev/lease":"agent"}},"spec":{"holderIdentity":"old",
	"leaseDurationSeconds":4,"renewTime":"2020-02-02T02:02:02.000000Z"}}' |
	post /apis/coordination.k8s.io/v1/namespaces/weir/leases
driver_env=(KUBERNETES_SERVICE_HOST=10.240.0.1 KUBERNETES_SERVICE_PORT=6443)
driver meek "cluster=$pod" leases=weir node=meek duration_ms=4000
driver_env=()
soon meek state .synced
ask meek applied >/dev/null
soon meek members .writer
refused() {
	grep -q 'the Lease of node old, .*cannot be removed: .*forbidden' "$work/meek.log"
}
wait_until 30 refused
tap_ok $? 'a Lease that may not be removed is told'
soon meek members '.writer and (.members | map(select(.node == "old" and (.live | not))) | length == 1)'
tap_ok $? 'and costs nothing else'
driver able "kubeconfig=$kubeconfig" leases=weir node=able duration_ms=4000
soon able state .synced
ask able applied >/dev/null
kill -9 "$(get meek state .pid)"
soon able members '.writer and (.members | map(.node) | index("old") | not) and (.members | map(.node) | index("meek"))'
tap_ok $? 'who may removes it, and none that lapsed just now'
tap_end
