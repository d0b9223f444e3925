#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# "make demo" is the main job, so it is a test: it must succeed, leave nothing
# behind however it ends, and clean up after one that was killed outright.
# timeout: 180

set -u
cd "$(dirname "$0")/../.." || exit 1
build=${WEIR_BUILD:-build}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
. tests/netns/lib.sh

tap_plan 6

# What a demo of that shell made: namespaces, pins, cgroup, work directory.
leftovers() { # PID
	{
		ip netns list
		ls -d /sys/fs/bpf/* /tmp/* "$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)"/*
	} 2>/dev/null | grep -c "weir-demo-$1\b"
}

start_demo() { # SECONDS
	DEMO_SECONDS=$1 setsid scripts/demo --build "$build" >"$out" 2>&1 &
	demo=$!
	disown "$demo"
}

is_loading() {
	grep -q 'done, 0 failed' "$out" || gone
}

gone() {
	! netns_is_alive "$demo"
}

DEMO_SECONDS=8 scripts/demo --build "$build" >"$out" 2>&1
status=$?
sed 's/^/# /' "$out"
tap_ok $status 'every share is within its tolerance, nothing failed, the edit arrived'
grep -q '^demo: OK' "$out"
tap_ok $? 'and it says so'

start_demo 30
wait_until 30 is_loading
kill -TERM "$demo"
wait_until 20 gone
tap_ok $? 'SIGTERM ends it'
[ "$(leftovers "$demo")" -eq 0 ]
tap_ok $? 'with nothing left'

start_demo 30
wait_until 30 is_loading
kill -KILL "$demo"
killed=$demo
wait_until 10 gone
# A run that is ended early cleans the killed one all the same.
start_demo 30
wait_until 30 is_loading
[ "$(leftovers "$killed")" -eq 0 ]
tap_ok $? 'the next run removes what a killed one left'
kill -TERM "$demo"
wait_until 20 gone
! pgrep -f "weir-demo-($killed|$demo)" >/dev/null
tap_ok $? 'and no process of either is left'
tap_end
