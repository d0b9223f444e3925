#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Three nodes on one LAN, addresses of a pool: each address is answered for by
# one node, ARP and neighbour solicitations; when that node's agent is killed
# another one follows after its Lease; never do two answer; what restarts within
# its Lease keeps what it has; without an API server all stays as it is.
# timeout: 600

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh

cluster_begin lan -nodes 3
who_has=$(realpath "${WEIR_BUILD:-build}")/tests/weir-who-has
watches=$(mktemp -d)
tap_plan 24

gateway() { # NAME
	cat <<-END
		---
		apiVersion: gateway.networking.k8s.io/v1
		kind: Gateway
		metadata: {name: $1, namespace: default}
		spec:
		  gatewayClassName: weir
		  listeners: [{name: web, port: 80, protocol: HTTP}]
	END
}
addresses() {
	kubectl get gateway -o json | jq -r \
		'.items[].status.addresses // [] | .[].value'
}
all_have() {
	[[ "$(addresses | sort -u | wc -l)" == 16 ]]
}
status() { # NODE
	echo status | socat -t5 - \
		"UNIX-CONNECT:$cluster_state/nodes/node-$1/admin.sock" 2>/dev/null
}
# What each node says that it answers for: "NODE ADDRESS".
answering() {
	local n
	for n in 1 2 3; do
		status $n | jq -r --arg n $n \
			'.addresses[] | select(.answers) | "\($n) \(.address)"'
	done
}
each_has_one() { # COUNT OF ADDRESSES
	local all
	all=$(answering)
	[[ "$(wc -l <<<"$all")" == "$1" &&
		"$(cut -d' ' -f2 <<<"$all" | sort -u | wc -l)" == "$1" ]]
}
node_of() { # ADDRESS: whose agent says that it answers
	answering | awk -v a="$1" '$2 == a { print $1 }'
}
mac() { # NODE
	echo "${macs[$1]}"
}
agents() { # NODE [ROLE]: pids
	pgrep -f -- "--admin $cluster_state/nodes/node-$1/admin.sock${2:+.* --role=$2}"
}
asked() { # ADDRESS
	on 0 "$who_has" -c 5 -i 60 eth0 "$1"
}
served() { # ADDRESS
	local host=$1
	[[ $host != *:* ]] || host="[$host]"
	[[ "$(on 0 curl -s -m 2 -o /dev/null -w '%{http_code}' "http://$host/")" == 404 ]]
}
# Asks for all addresses all the time; one file each.
watch_all() {
	local a
	watching=()
	for a in $all; do
		nsenter --net="/run/netns/$CLUSTER.client" "$who_has" -c 0 -i 100 \
			eth0 "$a" >"$watches/$a" 2>"$watches/$a.asks" &
		watching+=($!)
	done
	for a in $all; do
		wait_until 5 grep -qs asking "$watches/$a.asks" ||
			sed 's/^/# /' "$watches/$a.asks"
	done
}
watch_end() {
	kill "${watching[@]}"
	wait "${watching[@]}"
}
# EXPR is true of every watch.
watched() { # EXPR
	local a status=0
	for a in $all; do
		jq -es ".[0] | .asked > 0 and ($1)" "$watches/$a" >/dev/null ||
			{
				echo "# $a: $(cat "$watches/$a")"
				status=1
			}
	done
	return $status
}
lease_of() { # NODE: name
	kubectl get lease -A -o name | grep -- "weir-agent-node-$1"
}

rig crds >/dev/null
kubectl apply -f tests/conformance/gatewayclass.yaml >/dev/null
# One address of each family, eight times: each node gets some of them.
for i in 1 2 3 4 5 6 7 8; do
	gateway "gw$i"
done | kubectl apply -f - >/dev/null
# The bridge that is the LAN is in the first node: virtual, so it must be told
# that it leads off.
rig weir up --external lan >/dev/null
for n in 1 2 3; do
	ip=$(on $n bash -c 'echo $NODE_IP')
	macs[n]=$(on $n ip -j addr | jq -r --arg ip "$ip" \
		'.[] | select(.addr_info[].local == $ip).address')
done
wait_until 30 all_have
tap_ok $? 'eight Gateways have an address of each family'
all=$(addresses)
wait_until 10 each_has_one 16
tap_ok $? 'for each address one agent says that it answers'
answering | cut -d' ' -f1 | sort | uniq -c | sed 's/^/# addresses by node:/'
[[ "$(answering | cut -d' ' -f1 | sort -u | wc -l)" -ge 2 ]]
tap_ok $? 'the nodes share them'

r=0
for a in $all; do
	got=$(asked "$a")
	jq -e --arg mac "$(mac "$(node_of "$a")")" '.single == 5 and
		.repeated == 0 and .answers == {($mac): 5}' <<<"$got" >/dev/null ||
		{
			echo "# $a, node $(node_of "$a"): $got"
			r=1
		}
done
tap_ok $r 'asked for, that node answers, once, and no other'
r=0
for a in $all; do
	served "$a" || { echo "# $a"; r=1; }
done
tap_ok $r 'a host on the LAN is served at every address'
a4=$(grep -m1 -v : <<<"$all")
owner=$(node_of "$a4")
[[ "$(for n in 1 2 3; do
	status $n | jq -r --arg a "$a4" \
		'.addresses[] | select(.address == $a).owner'
done | sort -u)" == "$(status "$owner" | jq -r .node)" ]]
tap_ok $? 'every agent names the same node for it'
"${WEIR_BUILD:-build}/weirctl" status --admin \
	"$cluster_state/nodes/node-$((owner % 3 + 1))/admin.sock" |
	grep -q "$a4 *$(status "$owner" | jq -r .node)"
tap_ok $? 'weirctl status shows it'

# Routed to another node, and served there.
other=$((owner % 3 + 1))
other_ip=$(on $other bash -c 'echo $NODE_IP')
on 0 ip route add "$a4/32" via "$other_ip"
served "$a4"
tap_ok $? 'what is routed to another node is served there'
on 0 ip route del "$a4/32" via "$other_ip"

# The agent alone dies, and is back at once.
watch_all
kill -KILL "$(agents "$owner" agent)"
wait_until 10 each_has_one 16
tap_ok $? 'an agent that is killed is back'
sleep 3 # longer than what is new takes to settle
watch_end
watched '.multiple == 0 and (.answers | length) == 1 and
	.longest_silence_ms <= 200'
tap_ok $? 'within its Lease nothing moves, and nobody notices'

# All of a node: nothing starts it again; its programs stay in the kernel.
watch_all
mapfile -t killed < <(agents "$owner")
before=$(answering)
kill -KILL "${killed[@]}"
moved() {
	local now
	now=$(answering 2>/dev/null)
	[[ "$(awk '{ print $2 }' <<<"$now" | sort -u | wc -l)" == 16 ]] &&
		! grep -q "^$owner " <<<"$now"
}
wait_until 40 moved
tap_ok $? 'when its Lease has lapsed the others have all addresses'
served_all() {
	local a
	for a in $all; do
		served "$a" || return 1
	done
}
wait_until 5 served_all
tap_ok $? 'and hosts on the LAN are served by them'
watch_end
watched '.multiple == 0'
tap_ok $? 'at no time did two nodes answer'
watched '.longest_silence_ms <= 20000'
tap_ok $? 'somebody answers again within Lease and settling'
r=0
for a in $all; do
	n=$(awk -v a="$a" '$2 == a { print $1 }' <<<"$before")
	[[ $n == "$owner" || "$(node_of "$a")" == "$n" ]] || r=1
done
tap_ok $r 'only addresses of the dead node moved'
jq -es --arg mac "$(mac "$(node_of "$a4")")" '.[0].told[$mac] >= 1' \
	"$watches/$a4" >/dev/null
tap_ok $? 'the LAN was told'

# It comes back: what was its own is again.
watch_all
rig stop -node "$owner" -program weir >/dev/null 2>&1
rig spawn -node "$owner" -program weir -- bash -c 'exec "$0" \
	--kubeconfig "$KUBECONFIG" --node-name "$NODE_NAME" \
	--cgroup "$NODE_CGROUP" --pin-dir "$NODE_BPFFS/weir" \
	--external lan \
	--admin "$NODE_DIR/admin.sock"' "$(realpath "${WEIR_BUILD:-build}")/weir-agent" >/dev/null
is_as_before() {
	[[ "$(answering)" == "$before" ]]
}
wait_until 30 is_as_before
tap_ok $? 'the node that comes back has what it had'
served_all
tap_ok $? 'hosts on the LAN are served by it'
watch_end
watched '.multiple == 0 and .longest_silence_ms <= 4000'
tap_ok $? 'handed over in a moment, never answered twice'

# Nobody can renew a Lease, so none has lapsed.
watch_all
rig api-stop >/dev/null
sleep 25 # longer than a Lease
watch_end
watched '.multiple == 0 and (.answers | length) == 1 and
	.longest_silence_ms <= 200'
tap_ok $? '25 s without an API server: all is answered as before'
# One whose Lease the others may see lapse while it sees nothing: it gives in.
watch_all
rig api-start >/dev/null
wait_until 20 lease_of 1 >/dev/null
sleep 20
watch_end
watched '.multiple == 0 and (.answers | length) == 1 and
	.longest_silence_ms <= 200'
tap_ok $? 'nor does anything move when it is back'
is_as_before
tap_ok $? 'and the agents say so'

# A port that a socket of one node holds, told by whoever writes.
on "$other" "$(realpath "${WEIR_BUILD:-build}")/tests/weir-echo" --name held \
	"tcp:$a4:8099" >/dev/null 2>&1 &
gateway gw1 | sed 's/listeners: .*/listeners: [{name: web, port: 80, protocol: HTTP}, {name: held, port: 8099, protocol: HTTP}]/' |
	kubectl apply -f - >/dev/null
reason() {
	kubectl get gateway gw1 -o json | jq -r \
		'.status.conditions[] | select(.type == "Programmed").reason'
}
is_reason() { # REASON
	[[ "$(reason)" == "$1" ]]
}
wait_until 15 is_reason AddressNotUsable
tap_ok $? 'a port held on one node is said, whichever node writes'
pkill -KILL -f -- "weir-echo --name held tcp:$a4:8099"
wait_until 15 is_reason Programmed
tap_ok $? 'and that it is free'
rm -rf "$watches"
tap_end
