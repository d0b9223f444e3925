#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What all tests together reach of the request path: 90 % of the lines of each
# file, or this fails.  scripts/coverage builds all of it once more, runs the
# tests and judges; each file's figure is a line here.
# timeout: 3000

set -u
cd "${WEIR_ROOT:-$(dirname "$0")/../..}" || exit 1
out=$(mktemp)
trap 'rm -f "$out"' EXIT
scripts/coverage --build "${WEIR_BUILD:-build}/coverage" >"$out" 2>&1
status=$?
n=0
while read -r name covered _ lines _ percent _ low; do
	n=$((n + 1))
	[ -z "$low" ] && echo "ok $n - $name: $percent % ($covered of $lines)" ||
		echo "not ok $n - $name: $percent %, wanted: 90"
done < <(grep -E '^ +(agent/[^ ]+|all) +[0-9]+ of +[0-9]+ lines' "$out")
n=$((n + 1))
if [ $status = 0 ]; then
	echo "ok $n - every file is measured, and every test passed"
else
	echo "not ok $n - every file is measured, and every test passed"
	grep -v '^  [A-Z-]* *build' "$out" | tail -n 40 | sed 's/^/# /'
fi
echo "1..$n"
