#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Death of each process of the agent: what the others go on doing, and that
# everything is as before afterwards.
# timeout: 120
# shellcheck disable=SC2317 # functions are called by name

set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/netns/agent.sh
. "$here/agent.sh"

netns_begin agent-crash
agent_site
http=http://198.51.100.10/
raw=tcp:198.51.100.10:7000
dns=udp:198.51.100.10:7001

picked() { # both planes, all backendRefs
	agent_ask stats | jq '[.refs[] | .picked_connect + .picked_proxy] | add'
}

answers() { # ROUTE: how many of status 2xx its rules gave
	in_ns host curl -s http://127.0.0.1:9707/metrics |
		sed -n "s/^weir_rule_responses_total{.*name=\"$1\".*code=\"2xx\"} //p"
}

# The smaller a name, the earlier its rules in a plan.
agent_extra_route() {
	cat <<-'EOM'
		apiVersion: gateway.networking.k8s.io/v1
		kind: HTTPRoute
		metadata: {name: aaa, namespace: default}
		spec:
		  parentRefs: [{name: gw, sectionName: http}]
		  hostnames: [aaa.example]
		  rules:
		  - backendRefs: [{name: a, port: 80}]
	EOM
}

tap_plan 30
agent_start --metrics-per-route
tap_ok $? 'an agent serves'

# --------------------------------------------------- kill -9 of the agent role
# Ids depend on what was there before: first a route, then another before it.
agent_weights 1 0
generation=$(agent_generation)
agent_extra_route | agent_put 0-extra.yaml
agent_wait_newer "$generation"
agent_weights 3 1
agent_load -n 40 "$http"
in_plane -n 20 "$raw"
before=$(picked)
generation=$(agent_generation)
pid=$(agent_pid agent)
kill -STOP "$agent_parent" # so that it is not started again yet
kill -9 "$pid"
agent_load -n 40 -c 4 "$http"
agent_loaded '.failed == 0'
tap_ok $? 'agent dead: the proxy serves requests'
agent_load -n 20 "$raw"
agent_loaded '.failed == 0'
tap_ok $? 'agent dead: the relay serves connections'
agent_load -n 20 "$dns"
agent_loaded '.failed == 0'
tap_ok $? 'agent dead: the relay serves datagrams'
in_plane -n 40 -c 4 --check-peer "$raw"
agent_loaded '.failed == 0 and (.backends.a - 30 | fabs) <= 4'
tap_ok $? 'agent dead: the connect plane divides'

agent_load -t 2 -c 4 "$http" &
load=$!
kill -CONT "$agent_parent"
wait_until 10 agent_is ".ready and .processes.agent.pid != $pid"
tap_ok $? 'the parent starts it again'
agent_is '.processes.agent.restarts == 1 and .processes.proxy.restarts == 0'
tap_ok $? 'and counts that'
agent_is ".generation.kernel > $generation"
tap_ok $? 'generations go on from where they were'
wait "$load"
agent_loaded '.failed == 0'
tap_ok $? 'no request failed while it came back'
now=$(picked)
echo "# picked: $before before, $now now"
[ "$now" -ge $((before + 120)) ]
tap_ok $? 'counters go on from where they were'
[ "$(answers web)" -ge 80 ] && [ "$(answers aaa)" -eq 0 ]
tap_ok $? 'each with whom it belonged to'
agent_weights 0 1
agent_load -n 20 "$http" && agent_loaded '.failed == 0 and .backends.b == 20'
tap_ok $? 'an edit arrives after it'
agent_load -n 20 "$dns"
agent_loaded '.failed == 0'
tap_ok $? 'datagrams are relayed after it'

# --------------------------------------------------------- kill -9 of the proxy
pid=$(agent_pid proxy)
kill -STOP "$agent_parent"
kill -9 "$pid"
in_plane -n 20 "$raw"
agent_loaded '.failed == 0'
tap_ok $? 'proxy dead: the connect plane divides'
agent_load -n 8 -c 8 --timeout 10000 "$http" &
load=$!
sleep 0.3
kill -0 "$load"
tap_ok $? 'proxy dead: requests wait'
kill -CONT "$agent_parent"
wait "$load"
agent_loaded '.failed == 0 and .backends.b == 8'
tap_ok $? 'and are served by the next proxy'
wait_until 10 agent_is ".ready and .processes.proxy.pid != $pid"
tap_ok $? 'which follows the present plan'
agent_ask stats | jq -es '[.[0] | .rules[], .refs[], .endpoints[] |
	.in_flight] | add == 0' >/dev/null
tap_ok $? 'nothing of the dead one is in flight'
agent_load -n 20 "$dns"
agent_loaded '.failed == 0'
tap_ok $? 'datagrams are relayed by it'

# --------------------------------------------------------- a proxy that hangs
pid=$(agent_pid proxy)
kill -STOP "$pid"
generation=$(agent_ask status | jq .generation.kernel)
agent_write_routes 1 0 | agent_put routes.yaml
wait_until 5 agent_is ".generation.kernel > $generation"
tap_ok $? 'proxy hangs: an edit reaches the kernel planes'
agent_is '.ready | not'
tap_ok $? 'and the agent is not ready'
in_plane -n 20 "$raw"
agent_loaded '.backends.a == 20'
tap_ok $? 'the connect plane follows it'
kill -CONT "$pid"
wait_until 5 agent_is .ready
agent_load -n 20 "$http"
agent_loaded '.failed == 0 and .backends.a == 20'
tap_ok $? 'the proxy follows when it wakes up'
agent_weights 0 1

# -------------------------------------------------------------- both, then all
kill -9 "$(agent_pid proxy)" "$(agent_pid agent)"
wait_until 10 agent_is '.ready and .processes.agent.restarts == 2'
agent_load -n 20 "$http"
agent_loaded '.failed == 0'
tap_ok $? 'both killed at once: both are back'

proxy=$(agent_pid proxy)
agent=$(agent_pid agent)
kill -9 "$agent_parent"
wait "$agent_parent" 2>/dev/null # or the shell tells of it anywhere
gone() {
	! kill -0 "$proxy" 2>/dev/null && ! kill -0 "$agent" 2>/dev/null
}
wait_until 15 gone
tap_ok $? 'the parent killed: the others end'
in_plane -n 20 "$raw"
agent_loaded '.failed == 0'
tap_ok $? 'all dead: the connect plane divides'
agent_start
tap_ok $? 'a new agent takes over what is pinned'
agent_load -n 20 "$http" && agent_loaded '.backends.b == 20'
tap_ok $? 'and serves'

# ------------------------------------------------------------- a second agent
# shellcheck disable=SC2046
"$agent_bin" $(agent_flags) --metrics none --admin "$netns_work/second" \
	>"$netns_work/second.log" 2>&1
status=$?
[ "$status" -eq 1 ] &&
	grep -q "another agent (pid $(agent_pid agent)) works with --pin-dir" \
		"$netns_work/second.log"
tap_ok $? 'a second agent is refused and told by whom'
agent_load -n 20 "$http" && in_plane -n 20 "$raw"
tap_ok $? 'and disturbs nothing'
[ "$tap_failed" -eq 0 ] || sed 's/^/# log: /' "$agent_log"
tap_end
