#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A node with many interfaces: serving does not wait for the last of them, and
# readiness does; the agent answers in between.
set -u
cd "$(dirname "$0")" || exit 1
# shellcheck source=tests/netns/lib.sh
. ./lib.sh
# shellcheck source=tests/netns/agent.sh
. ./agent.sh

n=60

netns_begin interfaces
agent_site
netns_add pods
for i in $(seq "$n"); do
	netns_veth host "pod$i" pods "eth$i"
done

pending() { agent_ask status | jq '.kernel.planes.packet.pending'; }
is_settled() { [ "$(pending)" = 0 ]; }
attached() {
	agent_ask status | jq '[.kernel.planes.packet.interfaces[] | select(.attached)] | length'
}

tap_plan 5
"$agent_bin" --manifests "$agent_dir" --netns "/run/netns/$netns_run-host" \
	--pin-dir "$netns_pins" --admin "$agent_sock" --metrics none \
	--workers 1 >"$agent_log" 2>&1 &
wait_until 10 in_ns host curl -s -o /dev/null -f -m 1 http://198.51.100.10/
left=$(pending)
[ "$left" != null ] || exit 1
ready=$(agent_ask status | jq .ready)
echo "# $left of $n interfaces pending at the first answer, ready: $ready"
tap_ok $((left == 0)) 'it serves before all interfaces are attached'
[ "$ready" = false ]
tap_ok $? 'it is not ready by then'
wait_until 20 is_settled
tap_ok $? 'no interface stays pending'
[ "$(attached)" = "$n" ]
tap_ok $? 'every interface is attached'
wait_until 5 agent_is '.ready == true'
tap_ok $? 'now it is ready'
tap_end
