#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# From zero replicas, the short form of tests/knative/bench (cold lost
# --requests 2000, cold burst --services 100 are the long one): requests that
# each find a sleeping revision, and many woken at once; none is lost.  One with a
# limit of requests at once is left to Serving's activator.
# timeout: 600

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/knative/lib.sh

tap_plan 3
knative_begin kn-cold --nodes 2
cold() {
	tests/knative/bench/run --build "$WEIR_BUILD" --cluster "$CLUSTER" cold "$@"
}
tap_run "ten revisions are woken at once, no request is lost" \
	cold burst --services 10 --rounds 1
tap_run "16 requests, each of which finds a sleeping revision, on both nodes: none is lost, and not all wait until their pod is Ready" \
	cold lost --services 8 --requests 16 --nodes 2 --early 1
ksvc limited initial-scale=0 |
	sed 's/^    spec:$/&\n      containerConcurrency: 1/' | kubectl apply -f - >/dev/null
wait_until 60 is_ready_ksvc limited
activated() {
	for node in 1 2; do
		on $node curl -s http://127.0.0.1:9707/metrics | sed -n 's/^weir_proxy_activated_total //p'
	done | xargs
}
before=$(activated)
answer=$(ask limited.$knative_domain / | xargs)
echo "# $answer; activated by weir before and after: $before; $(activated)"
[[ $answer == "limited 200" && $before == "$(activated)" && $before != "0 0" ]]
tap_ok $? "containerConcurrency 1, from zero: answered, by way of the activator"
tap_end
