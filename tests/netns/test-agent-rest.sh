#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# An agent at rest gives memory back, and has all of it when it is needed: kernel
# tables, statistics, its program.  So do the parent and the proxy.

set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/netns/agent.sh
. "$here/agent.sh"

netns_begin agent-rest
agent_site
raw=tcp:198.51.100.10:7000

resident() { # PATTERN of the mapping's name: KiB of the agent
	awk -v name="$1" '/^[0-9a-f]+-/ { is = $0 ~ name } /^Rss:/ && is { n += $2 }
		END { print n + 0 }' "/proc/$pid/smaps"
}
picked() {
	agent_ask stats | jq '[.refs[] | .picked_connect] | add'
}
is_below() { # KIB PATTERN
	(($(resident "$2") < $1))
}
has_given_back() { # ROLE: less is left of a library than the start alone maps
	awk '/^[0-9a-f]+-/ { is = /libcrypto/ } /^Rss:/ && is { n += $2 } /^Anonymous:/ && is { n -= $2 }
		END { exit n + 0 > 512 }' "/proc/$(agent_pid "$1")/smaps"
}

tap_plan 11
agent_start
tap_ok $? 'an agent serves'
pid=$(agent_pid agent)
in_plane -n 20 "$raw"
before=$(picked)
((before >= 20))
tap_ok $? 'connections are counted'
echo "# tables $(resident bpf-map) KiB, libcrypto $(resident libcrypto)"
(($(resident bpf-map) > 1024))
tap_ok $? '(tables are mapped while they are used)'
wait_until 30 is_below 512 bpf-map
tap_ok $? 'they are not when nothing happens'
in_plane -n 10 "$raw"
agent_loaded '.failed == 0'
tap_ok $? 'though connections go on'
[[ $(picked) == $((before + 10)) ]]
tap_ok $? 'and are counted'
wait_until 30 is_below 512 bpf-map
tap_ok $? 'asking does not change that for long'
wait_until 30 has_given_back parent
tap_ok $? 'the parent has given back what its start took'
wait_until 30 has_given_back proxy
tap_ok $? 'and the proxy'
agent_weights 0 1
in_plane -n 10 "$raw"
agent_loaded '.failed == 0 and .backends == {"b": 10}'
tap_ok $? 'an edit is followed'
[[ $(agent_pid agent) == "$pid" ]]
tap_ok $? 'by the same agent'
tap_end
