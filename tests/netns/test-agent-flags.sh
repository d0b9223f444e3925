#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What an operator meets: wrong flags, ports that are taken, privileges,
# memory, metrics.
# timeout: 120
# shellcheck disable=SC2016 # awk's $ are awk's

set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/netns/agent.sh
. "$here/agent.sh"

netns_begin agent-flags
agent_site
http=http://198.51.100.10/

# One line, that says TEXT, and STATUS.
refuses() { # STATUS TEXT FLAG...
	local status=$1 text=$2 got=0
	shift 2
	timeout 10 "$agent_bin" "$@" >"$netns_work/out" 2>&1 || got=$?
	if [ "$got" -ne "$status" ] || ! grep -qF -- "$text" "$netns_work/out" ||
		[ "$(grep -c 'error\|weir-agent:' "$netns_work/out")" -ne 1 ]; then
		echo "# status $got:"
		sed 's/^/# /' "$netns_work/out"
		return 1
	fi
}

tap_plan 43
refuses 2 'did you mean --manifests?' --manifest /x
tap_ok $? 'a misspelt flag'
refuses 2 '--manifests DIR is missing' --workers 2
tap_ok $? 'no manifests'
# shellcheck disable=SC2046
refuses 1 '--netns /run/netns/none: No such file' $(agent_flags) \
	--netns /run/netns/none
tap_ok $? 'an absent namespace'
# shellcheck disable=SC2046
refuses 1 '--user nemo: no such user' $(agent_flags) --user nemo
tap_ok $? 'an unknown user'
# shellcheck disable=SC2046
refuses 1 "--manifests $netns_work/none: No such file" $(agent_flags) \
	--manifests "$netns_work/none"
tap_ok $? 'an absent directory'
# shellcheck disable=SC2046
refuses 1 "--access-log $netns_work/none/log: No such file" $(agent_flags) \
	--access-log "$netns_work/none/log"
tap_ok $? 'an access log where no file can be'
touch "$netns_work/file"
# shellcheck disable=SC2046
refuses 1 "--admin $netns_work/file: Address already in use" $(agent_flags) \
	--admin "$netns_work/file"
tap_ok $? 'a file where the admin socket should be'
spawn host "$agent_tools/weir-echo" tcp:127.0.0.1:9707 >"$netns_work/m" 2>&1
wait_until 5 test -s "$netns_work/m"
# shellcheck disable=SC2046
refuses 1 '--metrics 127.0.0.1:9707: Address already in use' $(agent_flags)
tap_ok $? 'a metrics port that is taken'
kill "$spawned"
# shellcheck disable=SC2046
refuses 2 "--pin-dir $netns_work: not on a bpffs" $(agent_flags) \
	--pin-dir "$netns_work"
tap_ok $? 'pins that are not on a bpffs'
# shellcheck disable=SC2046
refuses 2 '--cgroup /tmp: not cgroup v2' $(agent_flags) --cgroup /tmp
tap_ok $? 'a directory that is no cgroup'
# shellcheck disable=SC2046
refuses 2 "--cgroup $netns_cgroup/none: No such file" $(agent_flags) \
	--cgroup "$netns_cgroup/none"
tap_ok $? 'an absent cgroup'
[ "$(find "$netns_work" -name second)" = "" ] &&
	"$agent_bin" --version | grep -q '^weir-agent .*ABI 3'
tap_ok $? '--version'
"$agent_bin" --probe | jq -e .features >/dev/null
tap_ok $? '--probe prints JSON'

# ------------------------------------------------------------- taken ports
in_ns host ip addr add 198.51.100.10/32 dev lo
spawn host "$agent_tools/weir-echo" --name host http:198.51.100.10:80 \
	udp:198.51.100.10:7001 >"$netns_work/h" 2>&1
wait_until 5 test -s "$netns_work/h"
holder=$spawned
agent_start --metrics-per-route
wait_until 5 agent_is '.conflicts | length == 2'
tap_ok $? 'ports that host sockets hold are conflicts'
agent_load -n 20 "$http" && agent_loaded '.backends.host == 20'
tap_ok $? 'the host keeps its port'
agent_load -n 20 udp:198.51.100.10:7001 && agent_loaded '.backends.host == 20'
tap_ok $? 'also for datagrams'
grep -q 'AddressNotUsable.*198.51.100.10:80 proto=tcp' "$agent_log"
tap_ok $? 'the log says so'
kill "$holder"
wait_until 10 agent_is '.conflicts | length == 0'
tap_ok $? 'they are taken when the host lets go'
agent_load -n 20 "$http" && agent_loaded '.backends.host == null'
tap_ok $? 'and served'
agent_load -n 20 udp:198.51.100.10:7001 && agent_loaded '.backends.a == 20'
tap_ok $? 'also for datagrams'

# ------------------------------------------------------ privileges, memory
proxy=$(agent_pid proxy)
grep -q '^CapEff:.0000000000000000$' "/proc/$proxy/status" &&
	grep -q '^NoNewPrivs:.1$' "/proc/$proxy/status" &&
	grep -qE "^Uid:\s+$(id -u nobody)\s" "/proc/$proxy/status"
tap_ok $? 'the proxy is nobody and can do nothing'
looks=0
for role in parent agent proxy; do
	grep -qE '^Max core file size +0 +0 ' "/proc/$(agent_pid $role)/limits" &&
		[ "$(stat -c %u "/proc/$(agent_pid $role)/environ")" = 0 ] &&
		! setpriv --reuid=nobody --regid=nogroup --clear-groups cat "/proc/$(agent_pid $role)/maps" >/dev/null 2>&1 ||
		looks=1
done
tap_ok $looks 'no core dump has keys, and who is nobody too cannot look for them'
grep -q '^CapEff:.000000c000001404$' "/proc/$(agent_pid agent)/status"
tap_ok $? 'the agent keeps five capabilities'
[ "$(stat -c %a "$agent_sock")" = 600 ]
tap_ok $? 'the admin socket is for root only'
total=0
for role in parent agent proxy; do
	kib=$(awk '/^Pss_Anon:/ {print $2}' "/proc/$(agent_pid $role)/smaps_rollup")
	echo "# $role: $kib KiB anonymous"
	total=$((total + kib))
done
tap_ok $((total > 6144)) 'idle, all together take 6 MiB at most'

# --------------------------------------------------------------- metrics
page() { # PATH
	in_ns host curl -s -m 5 -o "$netns_work/page" -w '%{http_code}' \
		"http://127.0.0.1:9707$1"
}
[ "$(page /healthz)" = 200 ] && [ "$(page /readyz)" = 200 ] &&
	[ "$(page /other)" = 404 ]
tap_ok $? '/healthz, /readyz, and 404 for what is not there'
[ "$(in_ns host curl -s -o /dev/null -w '%{http_code}' -X POST \
	http://127.0.0.1:9707/metrics)" = 405 ]
tap_ok $? 'POST is not allowed'
[ "$(page /metrics)" = 200 ]
tap_ok $? '/metrics'
# Each sample belongs to a family that was announced; none comes twice.
awk '
	/^# HELP / { help[$3] = 1; next }
	/^# TYPE / { type[$3] = $4; next }
	{
		name = $1
		sub(/[{].*/, "", name)
		family = name
		if (!(family in type)) {
			sub(/_(bucket|sum|count)$/, "", family)
		}
		if (!help[family] || !type[family]) {
			print "# not announced: " name
			bad = 1
		}
		key = $0
		sub(/ [^ ]*$/, "", key)
		if (seen[key]++) { print "# twice: " key; bad = 1 }
		if ($NF !~ /^[0-9.e+-]+$/) { print "# no number: " $0; bad = 1 }
		n++
	}
	END { print "# " n " series"; exit bad || n < 100 }
' "$netns_work/page"
tap_ok $? 'in the text format of Prometheus'
grep -q '^weir_backend_picked_total{kind="HTTPRoute",namespace="default",name="web",rule="0",index="0",backend="a",detail="",plane="proxy"} [1-9]' \
	"$netns_work/page"
tap_ok $? 'with series per route when asked for'

# Families in the code and in the list for users are the same.
families=$(sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' "$netns_work/page" | sort)
listed=$(sed -n 's/^| `\(weir_[a-z_]*\)`.*/\1/p' "$here/../../agent/README.md" |
	grep -v '^weir_kube_' | sort) # those are there with an API server only
diff <(echo "$families") <(echo "$listed") | sed 's/^/# /'
[ "$families" = "$listed" ]
tap_ok $? 'agent/README.md lists every family'

# --------------------------------------- a local route the kernel refuses
# It takes none of IPv6 over lo while that is down.
ip -n "$netns_run-host" link set lo down
generation=$(agent_generation)
sed '1,/---/d; s/name: gw,/name: gw2,/; s/198.51.100.10/"2001:db8::11"/' \
	"$agent_dir/gateway.yaml" | agent_put gateway2.yaml
agent_wait_newer "$generation" && agent_weights 3 2
tap_ok $? 'a local route that the kernel refuses keeps no plan from coming into force'
[ "$(grep -c 'local route not added route=2001:db8::11/128' "$agent_log")" = 1 ]
tap_ok $? 'the log says so once'
ip -n "$netns_run-host" link set lo up
is_local() { # ADDRESS
	ip -n "$netns_run-host" -6 route show table local proto 119 | grep -q "$1 "
}
wait_until 10 is_local 2001:db8::11 && agent_load -n 20 "$http" &&
	agent_loaded '.errors == {} or .errors == null'
tap_ok $? 'and it is made when it can be'
rm "$agent_dir/gateway2.yaml"

# ------------------------------------------- directories, links, full tables
generation=$(agent_generation)
mv "$agent_dir" "$netns_work/old"
cp -r "$netns_work/old" "$netns_work/new"
sed -i 's/weight: 3/weight: 0/' "$netns_work/new/routes.yaml"
mv "$netns_work/new" "$agent_dir"
agent_wait_newer "$generation" && agent_load -n 20 "$http" &&
	agent_loaded '.backends.b == 20'
tap_ok $? 'a directory that is replaced is followed'

mv "$agent_dir/routes.yaml" "$netns_work/target.yaml"
ln -s "$netns_work/target.yaml" "$agent_dir/routes.yaml"
wait_until 5 agent_load -n 1 "$http"
generation=$(agent_generation)
agent_write_routes 1 0 >"$netns_work/target.yaml"
kill -HUP "$agent_parent"
agent_wait_newer "$generation" && agent_load -n 20 "$http" &&
	agent_loaded '.backends.a == 20'
tap_ok $? 'SIGHUP reads again what a link points to'

# shellcheck disable=SC2046
! "$agent_bin" --detach $(agent_flags) >"$netns_work/out" 2>&1 &&
	grep -q 'an agent is running, not detached .*pid=' \
		"$netns_work/out"
tap_ok $? '--detach is refused while an agent runs'
kill -TERM "$agent_parent"
wait "$agent_parent"
# shellcheck disable=SC2046
"$agent_bin" --detach $(agent_flags)
agent_start --max-groups 16 --access-log "$netns_work/access"
for i in {1..40}; do
	agent_service "more$i" 8080 8070
	cat <<-EOM
		---
		apiVersion: gateway.networking.k8s.io/v1
		kind: Gateway
		metadata: {name: gw$i, namespace: default}
		spec:
		  gatewayClassName: weir
		  addresses: [{type: IPAddress, value: 198.51.100.$((i + 100))}]
		  listeners: [{name: tcp, port: 7000, protocol: TCP}]
		---
		apiVersion: gateway.networking.k8s.io/v1alpha2
		kind: TCPRoute
		metadata: {name: more$i, namespace: default}
		spec:
		  parentRefs: [{name: gw$i}]
		  rules: [{backendRefs: [{name: more$i, port: 70}]}]
	EOM
done >"$netns_work/more"
agent_put more.yaml <"$netns_work/more"
wait_until 5 agent_is '.raise == "--max-groups"'
tap_ok $? 'a plan that does not fit names the flag to raise'
agent_load -n 20 "$http" && in_plane -n 20 tcp:198.51.100.10:7000
tap_ok $? 'the one before it serves on'
rm "$agent_dir/more.yaml"
agent_weights 0 1 && agent_is '.raise == null' &&
	agent_load -n 20 "$http" && agent_loaded '.backends.b == 20'
tap_ok $? 'and edits arrive when it is gone'
# An edit that comes while one that does not fit is on its way: it is, as long as
# the proxy does not answer.
generation=$(agent_generation)
compiles=$(agent_ask status | jq .changes.compiles)
proxy=$(agent_pid proxy)
kill -STOP "$proxy"
agent_put more.yaml <"$netns_work/more"
wait_until 2 agent_is ".changes.compiles > $compiles"
agent_write_routes 1 0 | agent_put routes.yaml
rm "$agent_dir/more.yaml"
wait_until 5 agent_is ".changes.refused_by_kernel > 1"
kill -CONT "$proxy"
agent_wait_newer "$generation" && agent_is '.raise == null' &&
	agent_load -n 20 "$http" && agent_loaded '.backends.a == 20'
tap_ok $? 'nor is one lost that comes while it is on its way'
# The proxy may not open files: the parent does.
logged() { # FILE: requests of the load that it has
	jq -r 'select(.route == "HTTPRoute default/web" and .status == 200) | .path' \
		<"$1" 2>/dev/null | wc -l
}
wait_until 5 test "$(logged "$netns_work/access")" -ge 40
tap_ok $? 'the access log has the requests'
mv "$netns_work/access" "$netns_work/access.1"
kill -HUP "$agent_parent"
wait_until 5 test -e "$netns_work/access"
before=$(logged "$netns_work/access.1")
agent_load -n 20 "$http"
all_logged() {
	[ $(($(logged "$netns_work/access.1") + $(logged "$netns_work/access"))) = $((before + 20)) ]
}
wait_until 5 all_logged && [ "$(logged "$netns_work/access")" -gt 0 ]
tap_ok $? 'SIGHUP opens it again where it was'
[ "$tap_failed" -eq 0 ] || sed 's/^/# log: /' "$agent_log"
tap_end
