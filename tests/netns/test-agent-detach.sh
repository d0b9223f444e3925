#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# One agent per network namespace, and a --detach that removes nothing of a
# running one, whichever --pin-dir they are given.
# timeout: 60
# shellcheck disable=SC2317 # functions are called by name

set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/netns/agent.sh
. "$here/agent.sh"

netns_begin agent-detach
agent_site
http=http://198.51.100.10/
other=$netns_pins-typo

run_other() { # FLAG... with another --pin-dir
	# shellcheck disable=SC2046
	timeout 10 "$agent_bin" $(agent_flags) --pin-dir "$other" \
		--admin "$netns_work/other" --metrics none "$@" \
		>"$netns_work/out" 2>&1
}

detach() {
	# shellcheck disable=SC2046
	"$agent_bin" --detach $(agent_flags) >"$netns_work/out" 2>&1
}

routes() {
	in_ns host ip route show table local proto 119
	in_ns host ip -6 route show table local proto 119
}

is_gone() { # PID
	! kill -0 "$1" 2>/dev/null
}

serves() {
	agent_load -n 20 "$http" && agent_loaded '.failed == 0'
}

is_back() { # FAMILY PREFIX
	in_ns host ip "$1" route show table local proto 119 | grep -qF "$2"
}

tap_plan 20
agent_start
tap_ok $? 'an agent serves'
pid=$(agent_pid agent)
before=$(routes)
[ "$(wc -l <<<"$before")" -eq 3 ]
tap_ok $? 'with three local routes'

# ------------------------------------------------------- beside a live agent
run_other --detach
[ $? -eq 1 ] && grep -q "an agent is running.*pid=$pid" "$netns_work/out"
tap_ok $? '--detach with another directory is refused and told by whom'
[ "$(routes)" = "$before" ] && serves
tap_ok $? 'and the agent serves on'
for _ in {1..40}; do
	run_other --detach
done
grep -q "an agent is running.*pid=$pid" "$netns_work/out"
tap_ok $? 'however often it is asked'
run_other
[ $? -eq 1 ] && grep -q "another agent (pid $pid) works .*network namespace" \
	"$netns_work/out"
tap_ok $? 'a second agent with another directory is refused likewise'
[ ! -e "$other" ]
tap_ok $? 'and makes no directory'
[ "$(routes)" = "$before" ] && serves && agent_is .ready
tap_ok $? 'and the first serves on'

# ------------------------------------------------- routes that others remove
in_ns host ip route del local 198.51.100.10 dev lo table local proto 119
wait_until 1 is_back -4 198.51.100.10
tap_ok $? 'a local route that is deleted is back within a second'
in_ns host ip -6 route flush table local proto 119
in_ns host ip route flush table local proto 119
wait_until 1 is_back -4 198.51.100.10 && wait_until 1 is_back -4 198.19.240.0/20 &&
	wait_until 1 is_back -6 fd77:6569:7200::/112
tap_ok $? 'and so are all of both families'
[ "$(routes)" = "$before" ] && serves
tap_ok $? 'as they were'

# ---------------------------------------------------------------- agent dead
kill -9 "$agent_parent" "$pid"
wait "$agent_parent" 2>/dev/null # or the shell tells of it anywhere
wait_until 5 is_gone "$pid"
agent_start
tap_ok $? 'killed: the next one takes over'
serves
tap_ok $? 'and serves'
kill -TERM "$agent_parent"
wait "$agent_parent"
run_other --detach
status=$?
[ "$status" -eq 0 ] &&
	grep -qF "nothing of weir is pinned at $other" "$netns_work/out"
tap_ok $? 'stopped: --detach with another directory finds nothing, no error'
[ "$(routes)" = "$before" ] && [ ! -e "$other" ]
tap_ok $? 'and touches nothing'
detach
tap_ok $? '--detach'
[ -z "$(routes)" ] && [ ! -e "$netns_pins/v3" ]
tap_ok $? 'removes routes and pins'
detach && grep -qF "nothing of weir is pinned at $netns_pins" "$netns_work/out"
tap_ok $? 'and may be repeated'

# --------------------------------------------------- the wrong network namespace
agent_start
kill -TERM "$agent_parent"
wait "$agent_parent"
netns_add else
in_ns else ip route add local 192.0.2.1 dev lo table local proto 119
detach_flags=(--detach --pin-dir "$netns_pins")
in_ns else "$agent_bin" "${detach_flags[@]}" >"$netns_work/out" 2>&1 &&
	grep -q 'made in another network namespace' "$netns_work/out"
tap_ok $? 'elsewhere --detach removes the pins and says where it is'
[ ! -e "$netns_pins" ] &&
	in_ns else ip route show table local proto 119 | grep -q 192.0.2.1
tap_ok $? 'and leaves the local routes there'
[ "$tap_failed" -eq 0 ] || sed 's/^/# log: /' "$agent_log"
tap_end
