#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# deploy/knative/README.md, command by command: its sh blocks run in order, in
# one shell, where kubectl is that of a cluster with nothing on it and curl a
# client outside.  Then what they promise.  Of Kourier, which is not here, its
# class is: KIngresses that weir may read and must not write.
# timeout: 500

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/knative/lib.sh

guide=deploy/knative/README.md
# Blocks as files: block-01.sh ...
blocks=$(mktemp -d)
awk -v dir="$blocks" '
	/^ *```sh$/ { n++; file = sprintf("%s/block-%02d.sh", dir, n); indent = index($0, "`") - 1; printf "" >file; inside = 1; next }
	/^ *```$/ { inside = 0; next }
	inside { print substr($0, indent + 1) >file }' $guide
n_blocks=$(find "$blocks" -name 'block-*.sh' | wc -l)
n_left=$(grep -l '^# not on the test cluster' "$blocks"/* | wc -l)
tap_plan $((n_blocks - n_left + 9))

cluster_needs knative-serving crds
cluster_begin kn-guide -nodes 2 -kube-proxy
rig build crds knative-serving >&2
rig crds experimental
curl() {
	on 0 curl -m 30 "$@"
}
run_block() { # FILE: as a person does, one command after the other
	echo "# --- $(head -n 1 "$1")"
	. "$1" >"$blocks/out" 2>&1
	local status=$?
	sed 's/^/# /' "$blocks/out" | cut -c1-160
	return $status
}
done_blocks=0
until_block() { # TEXT-IN-IT: runs all up to and with that one
	local file status
	while ((done_blocks < n_blocks)); do
		done_blocks=$((done_blocks + 1))
		file=$(printf '%s/block-%02d.sh' "$blocks" $done_blocks)
		grep -q '^# not on the test cluster' "$file" && continue
		# Each command must succeed, not only the last.
		sed -i 's/$/ || return 1/; s/\\ || return 1$/\\/' "$file"
		run_block "$file"
		status=$?
		tap_ok $status "block $done_blocks: $(sed -n 's/ || return 1//; 1p' "$file" | cut -c1-70)"
		! grep -qF "$1" "$file" || return $status
	done
	return 1
}
answers() { # NAME HOST PATH
	[[ "$(ask "$2" "$3")" == "$1 200" ]]
}

until_block 'ds/weir'
serving programs | sed 's/^/# /'
until_block externalIPs
ASK_AT=10.240.0.200
until_block hello-split
counts=$(xargs <"$blocks/out")
# Two workers, each with a sequence of its own: 2 to 6 of 20 at 20 %.
[[ $counts =~ (14|15|16|17|18)\ blue\ (2|3|4|5|6)\ green ]]
tap_ok $? "20 requests: 16 for blue and 4 for green, give or take two"
answers green next-hello.$knative_domain /
tap_ok $? "the tag reaches the new revision alone"
until_block site.yaml
site=$address
ASK_AT=$site answers pages any.test /
tap_ok $? "what has no path goes to the plain Service"
[[ "$(ASK_AT=$site ask any.test /hello/x)" =~ ^(blue|green)\ 200$ ]]
tap_ok $? "/hello goes to the Knative Service"

# -------------------------------------------------- beside another layer
until_block networking.knative.dev/ingress-class
ksvc theirs | kubectl apply -f - >/dev/null 2>&1
class_of() { # KINGRESS
	kubectl get ingresses.networking.internal.knative.dev "$1" \
		-o 'jsonpath={.metadata.annotations.networking\.knative\.dev/ingress\.class}'
}
is_of() { # KINGRESS CLASS
	[[ $(class_of "$1" 2>/dev/null) == "$2".ingress.networking.knative.dev ]]
}
wait_until 60 is_of theirs kourier
tap_ok $? "a new Knative Service is of the other class"
kubectl apply -f - >/dev/null <<-'END'
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: theirs}
	spec:
	  parentRefs: [{name: site}]
	  hostnames: [theirs.test]
	  rules: [{backendRefs: [{group: serving.knative.dev, kind: Service, name: theirs, port: 80}]}]
END
served() {
	ASK_AT=$site answers theirs theirs.test /
}
wait_until 30 served
tap_ok $? "an HTTPRoute to it is served"
[[ -z $(kubectl get ingresses.networking.internal.knative.dev theirs -o 'jsonpath={.status.publicLoadBalancer}{.status.privateLoadBalancer}') &&
	"$(ask theirs.$knative_domain /)" == 404 ]]
tap_ok $? "its KIngress is not served and not written"

# -------------------------------------------------- all of them
until_block custom-columns
ready() {
	is_of theirs weir && is_ready_ksvc theirs && answers theirs theirs.$knative_domain /
}
wait_until 60 ready
tap_ok $? "after the switch it is weir's, Ready, and served by its own name"
until_block kourier-system
[[ $done_blocks == "$n_blocks" ]]
tap_ok $? "no block is left"
rm -rf "$blocks"
tap_end
