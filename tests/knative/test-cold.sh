#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# From zero replicas, the short form of tests/knative/bench (cold lost
# --requests 2000, cold burst --services 100 are the long one): requests that
# each find a sleeping revision, and many woken at once; none is lost.
# timeout: 600

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/knative/lib.sh

tap_plan 2
knative_begin kn-cold --nodes 2
cold() {
	tests/knative/bench/run --build "$WEIR_BUILD" --cluster "$CLUSTER" cold "$@"
}
tap_run "ten revisions are woken at once, no request is lost" \
	cold burst --services 10 --rounds 1
tap_run "16 requests, each of which finds a sleeping revision, on both nodes: none is lost, and not all wait until their pod is Ready" \
	cold lost --services 8 --requests 16 --nodes 2 --early 1
tap_end
