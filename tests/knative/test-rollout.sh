#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Percents of two revisions move every 2 s, then the old one is deleted, under
# keep-alive load from outside and inside: no failure, shares as asked.
# timeout: 300

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/knative/lib.sh

tap_plan 1
knative_begin kn-rollout --nodes 2
tap_run "no request fails, each step's shares are within 2 points" \
	tests/knative/bench/run --build "$WEIR_BUILD" --cluster "$CLUSTER" rollout
tap_end
