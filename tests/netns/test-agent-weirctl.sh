#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# weirctl asking a running agent: what it says is what happens.
# timeout: 120

set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/netns/agent.sh
. "$here/agent.sh"

netns_begin agent-weirctl
agent_site
out=$netns_work/out

ctl() { # COMMAND ARGS...: output in $out
	local command=$1
	shift
	NO_COLOR=1 "${WEIR_BUILD:-build}/weirctl" "$command" \
		--admin "$agent_sock" "$@" >"$out" 2>&1 </dev/null
}

says() { # TEXT...: all in $out
	local text
	for text; do
		grep -qF -- "$text" "$out" || {
			echo "# no \"$text\" in:"
			sed 's/^/# /' "$out"
			return 1
		}
	done
}

tap_plan 18

agent_start --max-target 300 --max-headers 20 --max-head 2048
tap_ok $? 'an agent starts'

ctl status
tap_ok $? 'status says yes with its exit code'
says ': ready' 'generation 1; kernel follows 1, proxy 1' 'HTTPRoute 1' \
	'connect  on'
tap_ok $? 'status shows generations, objects, planes'
ctl status -o json && jq -e .ready "$out" >/dev/null
tap_ok $? 'status as JSON'

ctl routes && says 'HTTPRoute default/web [0]' '75.00%' '1 endpoint'
tap_ok $? 'routes come from the running plan'
ctl explain tcp 198.51.100.10:7000 && says 'TCPRoute default/raw rule 0' \
	'connect+packet: per connection by nature' '127.0.0.1:8071'
tap_ok $? 'explain a connection'
ctl explain GET http://any.example/x &&
	says 'HTTPRoute default/web rule 0' 'proxy: weight is a share of'
tap_ok $? 'explain a request'
# METHOD TARGET: explain answers with the status that a client gets.
same_answer() {
	local status url=$2
	[[ $url == '*' ]] || url=http://198.51.100.10$2
	status=$(in_ns host bash -c 'exec 3<>/dev/tcp/198.51.100.10/80
		printf "%s %s HTTP/1.1\r\nHost: x\r\n\r\n" "$@" >&3
		read -r -t 5 -u 3 _ status _ && echo "$status"' _ "$@")
	echo "# $1 ${2:0:40}: ${status:-no answer}"
	ctl explain "$1" "$url" --to 198.51.100.10:80
	[[ $? == 1 && -n $status ]] && says "answer    $status: "
}
same_answer GET /a/../b && same_answer GET /a/%2e%2E/b &&
	same_answer GET '/a\b' && same_answer GET /%00 &&
	same_answer CONNECT / && same_answer TRACE / &&
	same_answer GET '*' && same_answer OPTIONS '*' &&
	same_answer GET "/$(printf '%09000d' 0)"
tap_ok $? 'explain refuses what the proxy refuses, with its status'
long=/$(printf '%0299d' 0)
ctl explain GET "http://198.51.100.10$long" && says 'HTTPRoute default/web rule 0'
within=$?
same_answer GET "${long}0" && says 'answer    414: ' && ((within == 0))
tap_ok $? "it reads heads by the agent's limits"
ctl explain tcp 198.51.100.11:7000
tap_ok $(($? != 1)) 'explain of an address that is not taken exits with 1'

ctl dump && says 'frontend 198.51.100.10:7001/udp' &&
	cp "$out" "$netns_work/online" &&
	"${WEIR_BUILD:-build}/weirctl" dump --manifests "$agent_dir" >"$out" &&
	cmp -s "$out" "$netns_work/online"
tap_ok $? 'the running plan is what the manifests compile to'
ctl diags && says '0 errors'
tap_ok $? 'diags of a clean directory'

agent_load -n 400 -c 4 http://198.51.100.10/
in_plane -n 200 -c 4 tcp:198.51.100.10:7000
ctl top --once -i 0.1 -o json
jq -e '[.rules[] | select(.object == "HTTPRoute default/web")][0] |
	.requests == 400 and .status[2] == 400 and
	([.refs[].picked_proxy] | add) == 400 and
	(.refs[0].share == 0.75) and
	((.refs[0].ever - 0.75) | fabs) < 0.02' "$out" >/dev/null &&
	jq -e '.proxy | .requests >= 400 and .in_flight == 0' "$out" >/dev/null
tap_ok $? 'top counts requests of the proxy plane by backend'
jq -e '[.rules[] | select(.object == "TCPRoute default/raw")][0] |
	([.refs[].picked_connect] | add) == 200 and
	([.refs[].in_flight] | add) == 0 and
	((.refs[0].ever - 0.75) | fabs) < 0.04' "$out" >/dev/null
tap_ok $? 'top counts connections of the connect plane by backend'
ctl top -n 2 -i 0.1 && [[ $(grep -c '^RULE' "$out") == 2 ]] &&
	says '75.00%' && says 'proxy: 0.0 requests/s, 0 in flight; ' && ! grep -q $'\x1b' "$out"
tap_ok $? 'plain tables where there is no terminal'

ctl probe && says 'cgroup_connect' 'weir_connect4'
tap_ok $? 'probe asks the agent'

cat >"$agent_dir/bad.yaml" <<'YAML'
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: lost, namespace: default}
spec:
  parentRefs: [{name: gw}]
  hostnames: [lost.example.com]
  rules: [{backendRefs: [{name: gone, port: 80}]}]
YAML
lost() {
	ctl explain http://lost.example.com/ && says '500: invalid' >/dev/null
}
wait_until 5 lost
tap_ok $? 'explain follows an edit'
ctl diags
[[ $? == 1 ]] && says 'bad.yaml:' 'HTTPRoute default/lost' '(BackendNotFound)'
tap_ok $? 'diags name the broken reference and exit with 1'
