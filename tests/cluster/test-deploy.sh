#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# deploy/ on a real API server, RBAC enforced: the DaemonSet comes up on both
# nodes with what its manifest gives it, and what it serves answers to a client
# outside, a node and a pod, in both families; the same with overlays/k3s, whose
# pool and image are this cluster's as a user makes them his own; uninstalled,
# nothing is left.
# timeout: 600

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh

cluster_begin deploy -nodes 2 -kube-proxy
cluster_needs crds
tap_plan 35

may() { # VERB RESOURCE FLAG...
	kubectl auth can-i "$@" --as=system:serviceaccount:weir-system:weir 2>/dev/null
}
backend() { # NODE|POD ADDRESS -> who answered
	local url=http://$2/
	[[ $2 != *:* ]] || url="http://[$2]/"
	case $1 in
	[0-9]*) on "$1" curl -s -m 3 -H 'Host: example.test' "$url" ;;
	*) in_pod "$1" curl -s -m 3 -H 'Host: example.test' "$url" ;;
	esac | jq -r .name
}
answers() { # NODE|POD ADDRESS
	[[ $(backend "$@" 2>/dev/null) =~ ^(blue|green)$ ]]
}

rig crds standard
tap_ok $? 'the standard channel of the Gateway API is there'
# ------------------------------------------------------------------- image
build=${WEIR_BUILD:-build}
image=$cluster_state/image.tar
scripts/image --build "$build" "$image" >&2
tap_ok $? 'the image is made'
blob() { # DIGEST
	tar -xOf "$image" "./blobs/sha256/${1#sha256:}"
}
manifest=$(tar -xOf "$image" ./index.json | jq -r '.manifests[0].digest')
layer=$(blob "$manifest" | jq -r '.layers[0].digest')
tap_is 'its layer is what its digest says' "sha256:$(blob "$layer" | sha256sum | cut -d' ' -f1)" "$layer"
rm -rf "$build/image-root" && mkdir "$build/image-root" &&
	blob "$layer" | tar -xz -C "$build/image-root" &&
	[[ $(chroot "$build/image-root" /weir-agent --version) == weir-agent* ]]
tap_ok $? 'unpacked, its program runs without anything else'

# Its pods run from there.
kubectl kustomize deploy/base | sed 's,image: weir.dev/weir:.*,image: weir.dev/weir:unpacked,' |
	kubectl apply -f - >/dev/null
tap_ok $? 'deploy/base is taken'
kubectl apply -f tests/conformance/gatewayclass.yaml >/dev/null # with a pool
kubectl -n weir-system rollout status ds/weir --timeout=90s >/dev/null
tap_ok $? 'the agent runs on both nodes and is ready'
kubectl wait --for=condition=Accepted gatewayclass/weir --timeout=30s >/dev/null
tap_ok $? 'its class is accepted'

kubectl apply -f tests/cluster/manifests/example.yaml -f tests/cluster/manifests/rig.yaml >/dev/null
kubectl wait --for=condition=Available deploy/blue deploy/green --timeout=90s >/dev/null
kubectl wait --for=condition=Programmed gateway/example --timeout=60s >/dev/null
tap_ok $? 'a Gateway is programmed'
kubectl wait --for=condition=Ready pod/box --timeout=60s >/dev/null
four=$(kubectl get gateway example -o 'jsonpath={.status.addresses[0].value}')
[[ $four == 10.240.0.* ]]
tap_ok $? "it has an address of the pool ($four)"
for place in 0 1 2 box; do
	wait_until 15 answers $place "$four"
	tap_ok $? "IPv4, from $place"
done
# By request, and of a part of the pool that is routed to the second node.
six=fd00:10:250::7
kubectl -n weir-system patch configmap pool --type=merge \
	-p '{"data":{"addresses":"10.240.0.128/26\nfd00:10:250::/120\n"}}' >/dev/null
on 0 ip route add $six/128 via fd00:10:240::2
kubectl patch gateway example --type=merge -p "{\"spec\":{\"addresses\":[
	{\"type\":\"IPAddress\",\"value\":\"$four\"},
	{\"type\":\"IPAddress\",\"value\":\"$six\"}]}}" >/dev/null
for place in 0 1 2 box; do
	wait_until 15 answers $place "$six"
	tap_ok $? "IPv6, from $place"
done

tap_is 'it may watch Secrets' "$(may list secrets -A)" yes
tap_is 'it may not write one' "$(may update secrets -A)" no
tap_is 'it may not write a Gateway, but for its status' \
	"$(may update gateways -A) $(may update gateways --subresource=status -A)" 'no yes'
tap_is 'Leases are those of its own namespace' \
	"$(may create leases -n weir-system) $(may create leases -n default)" 'yes no'
tap_is 'of which it may remove those of nodes that are gone' \
	"$(may delete leases -n weir-system) $(may delete leases -n default)" 'yes no'
kubectl -n weir-system rollout restart ds/weir >/dev/null &&
	kubectl -n weir-system rollout status ds/weir --timeout=120s >/dev/null &&
	wait_until 15 answers 0 "$four"
tap_ok $? 'a rolling restart ends well'

# ------------------------------------------------------------- overlays/k3s
mine=$cluster_state/overlay
mkdir -p "$mine"
cat >"$mine/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [$(realpath --relative-to="$mine" deploy/overlays/k3s)]
images: [{name: weir.dev/weir, newTag: unpacked}]
patches:
- patch: |
    {apiVersion: v1, kind: ConfigMap, metadata: {name: pool, namespace: weir-system},
     data: {addresses: 10.240.0.200-10.240.0.209}}
END
kubectl delete -f tests/conformance/gatewayclass.yaml >/dev/null
rendered=$(kubectl kustomize "$mine" | kubectl create --dry-run=client -o json -f - | jq -s .)
of() { # KIND FILTER
	jq -r --arg kind "$1" ".[] | select(.kind == \$kind) | $2" <<<"$rendered"
}
tap_is 'the overlay gives the class its pool' \
	"$(of GatewayClass '.spec.parametersRef | "\(.kind) \(.namespace)/\(.name)"')" 'ConfigMap weir-system/pool'
tap_is 'its image is the one that was set' \
	"$(of DaemonSet '.spec.template.spec.containers[0].image')" weir.dev/weir:unpacked
tap_is 'its rights are those of the base' "$(of ClusterRole '.rules | length')" \
	"$(kubectl get clusterrole weir -o json | jq '.rules | length')"
kubectl apply -k "$mine" >/dev/null &&
	kubectl -n weir-system rollout status ds/weir --timeout=120s >/dev/null
tap_ok $? 'it is applied, and the agents are ready'
tap_is 'they have what it asks for' "$(kubectl -n weir-system get ds weir \
	-o 'jsonpath={.spec.template.spec.containers[0].resources.requests.memory}')" \
	"$(of DaemonSet '.spec.template.spec.containers[0].resources.requests.memory')"
kubectl wait --for=condition=Accepted gatewayclass/weir --timeout=30s >/dev/null
tap_ok $? 'the class is accepted'
sed '/^---/,$d; s/name: example}/name: edge}/' tests/cluster/manifests/example.yaml |
	kubectl apply -f - >/dev/null
kubectl patch httproute example --type=json \
	-p '[{"op": "add", "path": "/spec/parentRefs/-", "value": {"name": "edge"}}]' >/dev/null
kubectl wait --for=condition=Programmed gateway/edge --timeout=60s >/dev/null
edge=$(kubectl get gateway edge -o 'jsonpath={.status.addresses[0].value}')
[[ $edge =~ ^10\.240\.0\.20[0-9]$ ]]
tap_ok $? "a Gateway has an address of its pool ($edge)"
wait_until 15 answers 0 "$edge"
tap_ok $? 'and is served'

# ------------------------------------------------------- what README.md says
agent=$(kubectl -n weir-system get pods -l app.kubernetes.io/name=weir -o name | head -n 1)
said=$(kubectl -n weir-system exec "${agent#pod/}" -- /weirctl status 2>&1)
[[ $said == *generation* ]]
tap_ok $? 'weirctl, in the pod'

kubectl delete -k "$mine" --wait=true >/dev/null
for n in 1 2; do
	# shellcheck disable=SC2016 # expanded there
	on $n bash -c '"$0" --detach --pin-dir "$NODE_BPFFS/weir"' "$build/weir-agent" >/dev/null
done
tap_is 'uninstalled and detached, no address is held' \
	"$(on 1 ip -4 route show table local proto 119; on 2 ip -4 route show table local proto 119)" ''
tap_is 'nothing is pinned' "$(on 1 sh -c 'ls -A "$NODE_BPFFS"'; on 2 sh -c 'ls -A "$NODE_BPFFS"')" ''
! answers 0 "$edge" 2>/dev/null
tap_ok $? 'and nothing answers'
((tap_failed == 0)) || kubectl -n weir-system logs -l app.kubernetes.io/name=weir --tail=30 | cut -c1-300 | sed 's/^/# /'
((tap_failed == 0)) || kubectl get gateway example -o yaml | sed -n '/^status/,$p' | sed 's/^/# /'
tap_end
