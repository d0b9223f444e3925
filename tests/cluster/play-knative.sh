# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by play: the second half of make cluster KNATIVE=1.

step 'Knative Serving, weir its only network layer'
tests/knative/serving public
tests/knative/serving install

step 'an example: deploy/examples/my-app.yaml, and what it needs beside it'
$rig kubectl apply -f deploy/examples/my-app.yaml -f tests/knative/manifests/my-app-beside.yaml
$rig kubectl wait --for=condition=Ready ksvc/my-app --timeout=60s
$rig kubectl wait --for=condition=Available deploy/static-assets --timeout=60s
$rig kubectl wait --for=condition=Programmed gateway/my-gateway --timeout=30s
address=$($rig kubectl get gateway my-gateway -o 'jsonpath={.status.addresses[0].value}')
for path in /api/hello /static/logo; do
	printf '%-12s ' $path
	$rig exec -node 0 -- curl -s --retry 5 --retry-all-errors --fail "http://$address$path" | jq -r .name
done

cat <<TEXT

It runs.  A revision without requests for 6 s sleeps some seconds later; the next
request wakes it.  kubeconfig: $state/kubeconfig (of use inside the cluster's network)

  $rig exec -node 0 -- curl -s http://$address/api/hello
  $rig exec -node 0 -- curl -s -H 'Host: my-app.default.example.com' http://10.240.0.192/
  $rig kubectl get ksvc,revision,httproute,gateway
  $rig kubectl get pods -w
  $rig kubectl edit ksvc my-app                # a new revision; percents below spec.traffic
  $rig exec -- bash                            # a shell on the first node
  make cluster-down
TEXT
