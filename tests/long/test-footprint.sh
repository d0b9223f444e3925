#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a large cluster costs a node: weir's three processes on a real API server
# with 5 000 routes, 10 000 endpoints, and 20 000 Pods, Services and slices that
# are no business of weir's.  Memory, and CPU time while nothing happens.
# timeout: 1200

set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/cluster/lib.sh
. tests/cluster/lib.sh

n_routes=${ROUTES:-5000}
n_services=${SERVICES:-1000}
n_others=${OTHERS:-20000}
rest_s=${REST:-60}

cluster_begin footprint -light
tap_plan 7
rig crds experimental >/dev/null

metric() { # NAME
	on 1 curl -s -m 5 http://127.0.0.1:9707/metrics |
		awk -v name="$1" '$1 == name { print $2 }'
}
is() { # NAME VALUE
	[[ "$(metric "$1")" == "$2" ]]
}
begin() {
	# shellcheck disable=SC2016 # expanded there
	rig spawn -node 1 -program weir -- bash -c 'exec "$0" --kubeconfig "$KUBECONFIG" \
		--node-name node-1 --cgroup "$NODE_CGROUP" --pin-dir "$NODE_BPFFS/weir" \
		--admin "$NODE_DIR/admin.sock"' "$WEIR_BUILD/weir-agent"
	wait_until 60 is weir_ready 1
	cluster_prefer
}
# role and pid of each process
processes() {
	pgrep -f -- "--admin $cluster_state/nodes/node-1/admin.sock" | while read -r pid; do
		role=$(tr '\0' '\n' <"/proc/$pid/cmdline" | sed -n 's/^--role=//p')
		echo "${role:-parent} $pid"
	done
}
memory() { # ROLE FIELD of smaps_rollup -> KiB, of all for ROLE all
	processes | while read -r role pid; do
		[[ $1 != "$role" && $1 != all ]] || cat "/proc/$pid/smaps_rollup"
	done | awk -v f="$2:" '$1 == f { n += $2 } END { print n + 0 }'
}
show() { # TEXT
	local role
	for role in agent proxy parent all; do
		echo "# $1: $role: RSS $(memory $role Rss) KiB, anonymous $(memory $role Anonymous), PSS $(memory $role Pss)"
	done
}
cpu_ns() {
	processes | while read -r _ pid; do
		cat /proc/"$pid"/task/*/schedstat
	done | awk '{ n += $1 } END { printf "%.0f\n", n }'
}

kubectl apply -f tests/cluster/manifests/gateway.yaml >/dev/null
begin
tap_ok $? 'an almost empty cluster is served'
sleep 15
show 'almost empty'
on 1 /usr/bin/python3 tests/long/populate.py 127.0.0.1:2379 "$n_routes" "$n_services" 10 "$n_others"
tap_ok $? "$n_routes routes, $n_services Services of 10 endpoints, 3 times $n_others others are there"
known() {
	is 'weir_objects{group="gateway.networking.k8s.io",kind="HTTPRoute"}' "$n_routes" &&
		is weir_endpoints "$((n_services * 10))" && is weir_ready 1
}
wait_until 180 known
tap_ok $? 'all routes are served'
settled() {
	[[ "$(metric 'weir_kube_status_updates_total{group="gateway.networking.k8s.io",kind="HTTPRoute",result="written"}')" -ge $n_routes ]] &&
		is weir_kube_status_waiting 0
}
wait_until 600 settled
tap_ok $? 'and all statuses written'
sleep 10
show 'that watched them come'
rig stop -node 1 -program weir
begin && wait_until 60 known
tap_ok $? 'an agent that starts now finds them all'
sleep 15
show 'that listed them'
rss=$(memory agent Rss)

before=$(cpu_ns)
requests=$(metric weir_kube_requests_total)
sleep "$rest_s"
used=$(($(cpu_ns) - before))
echo "# at rest: $((used / 1000)) us of CPU time in $rest_s s, $(($(metric weir_kube_requests_total) - requests)) requests"
((used / 1000 <= rest_s * 2000))
tap_ok $? 'at rest 0.2 % of a CPU at most'
((rss <= 20480))
tap_ok $? 'the agent is resident with 20 MiB at most'
tap_end
