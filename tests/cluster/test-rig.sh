#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The cluster that everything else is tested on, by itself: two nodes with
# kube-proxy, and pods that use what pods are promised.
# timeout: 600

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh

cluster_begin rig -nodes 2 -kube-proxy
tap_plan 32

json() { # KIND NAME PATH
	kubectl get "$1" "$2" -o "jsonpath={$3}"
}
api_status() { # POD PATH
	# shellcheck disable=SC2016 # expanded in the pod
	in_pod "$1" sh -c 'd=/var/run/secrets/kubernetes.io/serviceaccount
		curl -s -o /dev/null -w "%{http_code}" --cacert $d/ca.crt \
			-H "Authorization: Bearer $(cat $d/token)" \
			"https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT$0"' "$2"
}

tap_is 'a node has an address of each family' \
	"$(json node node-2 '.status.addresses[?(@.type=="InternalIP")].address')" \
	'10.240.0.2 fd00:10:240::2'
kubectl apply -f tests/cluster/manifests/rig.yaml >/dev/null
kubectl rollout status ds/web --timeout=60s >/dev/null
tap_ok $? 'a DaemonSet runs on both nodes, its probes pass'
kubectl wait --for=condition=Ready pod/box pod/polite pod/modest pod/reader --timeout=60s >/dev/null
tap_ok $? 'pods become ready'

# ---------------------------------------------------------------- network
pod1=$(kubectl get pod -l app=web --field-selector spec.nodeName=node-1 -o name)
pod2=$(kubectl get pod -l app=web --field-selector spec.nodeName=node-2 -o name)
ip4=$(json "${pod2%/*}" "${pod2#*/}" '.status.podIPs[0].ip')
ip6=$(json "${pod2%/*}" "${pod2#*/}" '.status.podIPs[1].ip')
[[ $ip4 == 10.244.2.* && $ip6 == fd00:10:244:2::* ]]
tap_ok $? 'a pod has an address of each family'
name() {
	jq -r .name
}
tap_is 'a pod reaches one on the other node, IPv4' \
	"$(in_pod "$pod1" curl -s "http://$ip4:8080/" | name)" "${pod2#*/}"
tap_is 'and IPv6' "$(in_pod "$pod1" curl -s "http://[$ip6]:8081/" | name)" "${pod2#*/}"
tap_is 'so does a client outside' "$(on 0 curl -s "http://[$ip6]:8081/" | name)" "${pod2#*/}"
wait_until 10 in_pod "$pod1" curl -s -m 2 -o /dev/null http://web/
tap_ok $? 'a Service answers by its name (kube-proxy)'
cluster6=$(json service web '.spec.clusterIPs[1]')
wait_until 10 in_pod "$pod1" curl -s -m 2 -o /dev/null "http://[$cluster6]:81/"
tap_ok $? 'and by its IPv6 address'
tap_is 'a headless Service is its pods, both families' \
	"$(in_pod box getent ahosts web-headless | awk '{print $1}' | sort -u | wc -l)" 4
tap_is 'a name that is not there is not found' \
	"$(in_pod box sh -c 'getent hosts nobody || echo none')" none

# ------------------------------------------------------- volumes, variables
tap_is 'variables' "$(in_pod box sh -c 'echo $COLOUR $KEY')" 'blue hush'
ips=$(in_pod box sh -c 'echo $IPS')
tap_is 'variables of variables' "$(in_pod box sh -c 'echo $TEXT')" "blue-$ips"
tap_is 'ConfigMap, Secret and downward API as files' \
	"$(in_pod box sh -c 'cat /settings/file.txt; echo; cat /password/key; echo; cat /about/labels; echo; cat /about/note' | tr '\n' ' ')" \
	'first hush app="box" hello'
tap_is 'an init container ran before, in the same emptyDir' "$(in_pod box cat /shared/init)" from-init
kubectl patch configmap settings -p '{"data":{"file.txt":"second"}}' >/dev/null
wait_until 20 eval '[[ $(in_pod box cat /settings/file.txt) == second ]]'
tap_ok $? 'a mounted ConfigMap follows its edit'

# -------------------------------------------------------------- logs, exec
tap_is 'logs' "$(kubectl logs box)" started
tap_is 'exec gives the status of the command' "$(in_pod box sh -c 'exit 7' 2>/dev/null; echo $?)" 7
tap_is 'and takes standard input' "$(echo hello | kubectl exec -i box -- cat)" hello

# ------------------------------------------------------------------ probes
wait_until 30 eval '(($(json pod frail ".status.containerStatuses[0].restartCount") >= 1))'
tap_ok $? 'a failed liveness probe restarts the container'
tap_is 'and the log before that is kept' "$(kubectl logs --previous frail)" run

# ---------------------------------------------------------- security, RBAC
tap_is 'exec sees what the container sees' "$(in_pod modest hostname)" modest
tap_is 'capabilities are those that were asked for' \
	"$(in_pod modest sh -c 'sed -n "s/^CapBnd:\t*//p" /proc/1/status')" 0000000000001000
tap_is 'the root is read-only' "$(in_pod modest sh -c 'touch /x 2>/dev/null && echo written || echo refused')" refused
tap_is 'a role gives what it says' "$(api_status reader /api/v1/namespaces/default/pods)" 200
tap_is 'and nothing else' "$(api_status reader /api/v1/namespaces/default/secrets)" 403

# ------------------------------------------------------------- termination
began=$SECONDS
kubectl logs -f polite >"$cluster_state/polite.log" 2>/dev/null &
follower=$!
kubectl delete pod polite >/dev/null
wait $follower
tap_is 'a pod is asked to end, and has its time' "$(tr '\n' ' ' <"$cluster_state/polite.log")" 'up asked done '
[[ $((SECONDS - began)) -lt 20 ]] && compgen -G "$cluster_state/nodes/node-*/run/polite/prestop" >/dev/null
tap_ok $? 'its preStop hook ran'

# ------------------------------------------------------------------ faults
rig api-stop
tap_is 'without the API server pods go on' \
	"$(on 0 curl -s "http://$ip4:8080/" | name)" "${pod2#*/}"
rig api-start && kubectl get pod box -o name >/dev/null
tap_ok $? 'it comes back with all it knew'
kill -9 "$(rig status | sed -n 's/^node-2\/kubelet .*pid \([0-9]*\).*/\1/p')"
tap_is 'a node whose kubelet is killed goes on' \
	"$(on 0 curl -s "http://$ip4:8080/" | name)" "${pod2#*/}"
rig start -node 2 && kubectl delete "$pod2" >/dev/null &&
	kubectl rollout status ds/web --timeout=60s >/dev/null
tap_ok $? 'and works again when it is started'
tap_end
