#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The running agent: it serves a directory of manifests, follows its edits, and
# leaves nothing behind when asked.
# timeout: 120
# shellcheck disable=SC2317,SC2119 # functions are called by name

set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/netns/agent.sh
. "$here/agent.sh"

netns_begin agent-serve
agent_site
http=http://198.51.100.10/
raw=tcp:198.51.100.10:7000
dns=udp:198.51.100.10:7001

tap_plan 23

start_ms=$(date +%s%3N)
agent_start
tap_ok $? 'an agent starts and serves'
took=$(($(date +%s%3N) - start_ms))
echo "# ready after $took ms"
tap_ok $((took > 1000)) 'within a second'

agent_load -n 400 -c 4 "$http"
agent_loaded '.failed == 0 and (.backends.a - 300 | fabs) <= 8'
tap_ok $? 'requests are divided 3 : 1 by the proxy'

agent_load -n 200 -c 4 "$raw"
agent_loaded '.failed == 0 and (.backends.a - 150 | fabs) <= 8'
tap_ok $? 'connections of clients outside the cgroup are relayed 3 : 1'

in_plane -n 200 -c 4 --check-peer "$raw"
agent_loaded '.failed == 0 and (.backends.a - 150 | fabs) <= 8'
tap_ok $? 'connections of clients in the cgroup go straight to their endpoint'
agent_ask stats | jq -es '[.[0].refs[].picked_connect] | add == 200' >/dev/null
tap_ok $? 'and were picked by the connect plane'

agent_load -n 50 "$dns"
agent_loaded '.failed == 0 and .backends.a == 50'
tap_ok $? 'datagrams of clients outside the cgroup are relayed'
in_plane -n 50 --check-peer "$dns"
agent_loaded '.failed == 0 and .backends.a == 50'
tap_ok $? 'datagrams of clients in the cgroup go straight'

# ------------------------------------------------------------------- edits
agent_weights 0 1
tap_ok $? 'an edit arrives on both planes'
agent_load -n 50 "$http"
agent_loaded '.failed == 0 and .backends.b == 50 and .backends.a == null'
tap_ok $? 'weight 0 gets no request'
in_plane -n 50 "$raw"
agent_loaded '.failed == 0 and .backends.b == 50 and .backends.a == null'
tap_ok $? 'weight 0 gets no connection'
effect=$(agent_ask status | jq .changes.last_effect_us)
echo "# effect after $effect us"
tap_ok $((effect > 100000)) 'within 100 ms'

agent_load -t 3 -c 4 "$http" &
load=$!
for i in 1 2 3 4 5 6 7 8; do
	agent_weights $((i % 2)) $(((i + 1) % 2))
	sleep 0.2
done
wait "$load"
agent_loaded '.failed == 0 and .backends.a > 0 and .backends.b > 0'
tap_ok $? 'no request fails while weights flip'

# ---------------------------------------------------------------- mistakes
agent_weights 3 1
generation=$(agent_generation)
printf 'kind: [HTTPRoute\n' | agent_put broken.yaml
wait_until 5 agent_is '.diags.error > 0'
agent_ask diags | jq -es '.[0].diags[] | select(.severity == "error") |
	.source | endswith("broken.yaml")' >/dev/null
tap_ok $? 'a broken file is a diagnostic that names it'
agent_load -n 20 "$http"
agent_loaded '.failed == 0' && [ "$(agent_generation)" -eq "$generation" ]
tap_ok $? 'and the plan before it serves on'
rm "$agent_dir/broken.yaml"
wait_until 5 agent_is '.diags.error == 0'
tap_ok $? 'which goes with the file'

mv "$agent_dir/routes.yaml" "$netns_work/routes.yaml"
agent_wait_newer "$generation"
agent_load -n 5 --expect 404 "$http"
agent_loaded '.failed == 0'
tap_ok $? 'a route that is removed answers 404'
mv "$netns_work/routes.yaml" "$agent_dir/routes.yaml"
wait_until 5 agent_load -n 1 "$http"
tap_ok $? 'and is back with its file'
agent_load -n 20 "$dns"
agent_loaded '.failed == 0'
tap_ok $? 'also for datagrams'

# --------------------------------------------------------------------- end
kill -TERM "$agent_parent"
wait "$agent_parent"
tap_ok $? 'SIGTERM ends it with status 0'
in_plane -n 20 "$raw"
agent_loaded '.failed == 0'
tap_ok $? 'the connect plane works on without an agent'

# shellcheck disable=SC2046
"$agent_bin" --detach $(agent_flags)
tap_ok $? '--detach succeeds'
left() {
	find "$netns_pins" -mindepth 1 2>/dev/null
	bpftool cgroup tree "$netns_cgroup" | grep weir_
	ip -n "$netns_run-host" route show table all proto 119
	ip -n "$netns_run-host" -6 route show table all proto 119
	in_ns host bpftool net 2>/dev/null | grep weir_
}
nothing_left() {
	[ -z "$(left)" ]
}
# The kernel takes links apart a moment after their last reference is gone.
wait_until 2 nothing_left
tap_ok $? 'and leaves nothing behind'
left | sed 's/^/# left: /'
tap_end
