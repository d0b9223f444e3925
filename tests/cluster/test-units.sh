#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The cluster's Go code by itself.  With the flags of its build, so that what is
# compiled already serves; vet would look at all of Kubernetes.
# timeout: 900

set -u
cd "$(dirname "$0")" || exit 1
. ./lib.sh
PATH=$PATH:/usr/local/go/bin
cluster_needs rig # most of what is compiled here

log=$(mktemp)
trap 'rm -f "$log"' EXIT
CGO_ENABLED=1 go test -v -count=1 -vet=off -trimpath -buildvcs=false -ldflags '-s -w' \
	./internal/node >"$log" 2>&1
status=$?
mapfile -t names < <(sed -n 's/^--- \(PASS\|FAIL\): \(Test[A-Za-z]*\).*/\1 \2/p' "$log")
tap_plan $((${#names[@]} + 2))
for name in "${names[@]}"; do
	[[ $name == PASS* ]]
	tap_ok $? "${name#* }"
done
((${#names[@]} > 0 && status == 0))
tap_ok $? 'they end well'
((status == 0)) || sed 's/^/# /' "$log"
unformatted=$(gofmt -l . ../conformance)
[[ -z $unformatted ]]
tap_ok $? "gofmt has nothing to say $unformatted"
tap_end
