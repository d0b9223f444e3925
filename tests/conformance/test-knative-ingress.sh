#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The official KIngress suite of Knative, whole, alpha and beta: each of its
# tests is one here, and all that the committed report has must be among them.
# timeout: 900

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh

cluster_needs podinit kube rig knative-suite knative-images
report=$WEIR_BUILD/conformance/knative-ingress.json
rm -f "$report"
tests/conformance/run-knative --build "$WEIR_BUILD" --report "$report" | sed 's/^/# /'
status=${PIPESTATUS[0]}

while read -r name result; do
	[[ $result == pass ]]
	tap_ok $? "$name"
done < <(jq -r '.[] | "\(.test) \(.result)"' "$report")
tap_ok "$status" "the suite ends well, $tap_n tests"
missing=$(jq -rn --slurpfile was tests/conformance/reports/knative-ingress.json \
	--slurpfile is "$report" '[$was[0][].test] - [$is[0][].test] | join(" ")')
[[ $? == 0 && -z $missing ]]
tap_ok $? "nothing of the committed report is missing $missing"
((tap_failed == 0)) || tail -n 60 "$WEIR_BUILD/conformance/knative/suite.log" | cut -c1-300 | sed 's/^/# /'
echo "1..$tap_n"
tap_end
