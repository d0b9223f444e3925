#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The official Gateway API suite, every profile that is claimed, whole: each of
# its tests is one here.  No profile may pass less than the committed report
# says, and nothing is claimed that the suite has no test of.
# timeout: 1200

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh
here=tests/conformance
PATH=$PATH:/usr/local/go/bin

cluster_needs podinit kube rig echo-basic crds suite
profiles=$(grep -v '^#' $here/profiles)
# Istio's echo server is a large program of a large module.
mesh_missing=''
[[ -z ${WEIR_CLUSTER_BUILT-} ]] || mesh_missing=$(rig missing mesh-echo)
[[ -z $mesh_missing ]] || profiles=$(grep -v MESH <<<"$profiles")

out=$WEIR_BUILD/conformance
reports=$out/reports
rm -rf "$reports" "$out"/{gateway,mesh}.log
$here/run --build "$WEIR_BUILD" --reports "$reports" --profiles "$(paste -sd, <<<"$profiles")" |
	sed 's/^/# /'
status=${PIPESTATUS[0]}

# ------------------------------------------------ what the suite itself says
# Those that it skips are of what is not claimed; the report counts the others.
for part in gateway mesh; do
	[[ -e $out/$part.log ]] || continue
	while read -r result name; do
		[[ $result == PASS ]]
		tap_ok $? "$part: $name"
		[[ $result == PASS ]] || grep -A 12 "^ *--- FAIL: TestConformance/$name" "$out/$part.log" |
			head -n 40 | cut -c1-300 | sed 's/^/# /'
	done < <(sed -nE 's/^ *--- (PASS|FAIL): TestConformance\/([^/ ]+) .*/\1 \2/p' "$out/$part.log")
done
tap_ok "$status" "the suite ends well, $tap_n tests"

# ------------------------------------------------------ beside what is claimed
numbers() { # REPORT... -> PROFILE CORE EXTENDED SKIPPED, by name
	awk '/^- core:/ { part = "core"; n["extended"] = skipped = 0 }
		/^  extended:/ { part = "extended" }
		/^      Passed:/ { n[part] = $2 }
		/^      Skipped:/ { skipped += $2 }
		/^  name:/ { print $2, n["core"], n["extended"], skipped }' "$@" | sort
}
while read -r profile core extended _; do
	if [[ -n $mesh_missing && $profile == MESH-* ]]; then
		continue
	fi
	read -r _ is_core is_extended skipped < <(numbers "$reports"/*.yaml | grep "^$profile ")
	((${is_core:-0} >= core && ${is_extended:-0} >= extended && ${skipped:-1} == 0))
	tap_ok $? "$profile: $core core and $extended extended tests, as in reports/"
	echo "# ${is_core:-none} core, ${is_extended:-none} extended, ${skipped:-none} skipped"
done < <(numbers $here/reports/{gateway,mesh}.yaml)
[[ -z $mesh_missing ]] || tap_skip mesh "$mesh_missing"

suite=$(cd $here && GOTOOLCHAIN=$(sed -n 's/^go /go/p' go.mod) \
	go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api/conformance)
untested=$({
	grep -oE '"[A-Z][A-Za-z0-9]+"' agent/status/features.c | tr -d '"'
	grep -v '^#' $here/mesh-features
} | sort -u | while read -r feature; do
	grep -rqw "features.Support$feature" "$suite/tests" || echo "$feature"
done | paste -sd' ')
[[ -d $suite/tests && -z $untested ]]
tap_ok $? "each feature that is claimed is needed by a test of the suite $untested"

echo "1..$tap_n"
tap_end
