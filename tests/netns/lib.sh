# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Network namespaces for tests and the demo: sourced, then
#
#	netns_begin NAME         names the run; cleans leftovers of earlier ones;
#	                         cleans this one when the shell ends, however
#	netns_two_nodes          builds the topology below
#	in_ns NS CMD...          CMD in namespace NS (short name), / untouched
#	spawn NS CMD...          likewise in the background; $spawned is its pid
#	wait_until S CMD...      until CMD succeeds, at most S seconds
#	tap_plan N, tap_ok STATUS TEXT, tap_skip TEXT WHY, tap_end
#
# Everything is named weir-NAME-PID...: namespaces, the cgroup ($netns_cgroup),
# the bpffs directory ($netns_pins) and the work directory ($netns_work).  The
# PID is that of the shell, so a run can tell the leftovers of a dead run from
# another one that is still going on.
#
#	      out                    outside client, no route to pods
#	   192.0.2.21 / 2001:db8:1::21
#	       |
#	   [ lan bridge ]            192.0.2.0/24, 2001:db8:1::/64
#	    |          |
#	  node1      node2           .11 and .12, eth0; forwarding on
#	  |   |      |   |
#	 p1a p1b    p2a p2b          pods 10.1.N.{10,11}, fd01:N::{10,11}
#
# Pods hang on veths of their own (eth0 in the pod, p1a ... on the node) by /32
# and /128 routes, as with Calico.  Addresses to be divided are 198.51.100.0/24
# and 2001:db8:100::/64: outside clients reach them by node1.

netns_pods='p1a p1b p2a p2b'

netns_begin() { # NAME
	netns_name=weir-$1
	netns_run=$netns_name-$$
	netns_pins=/sys/fs/bpf/$netns_run
	netns_root=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)
	netns_cgroup=$netns_root/$netns_run
	trap netns_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	netns_sweep
	mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
	# shellcheck disable=SC2034 # for those who source this
	netns_work=$(mktemp -d "/tmp/$netns_run.XXXXXX")
	mkdir -p "$netns_pins" "$netns_cgroup"
}

# Runs of this name whose shell is gone.
netns_sweep() {
	local run
	for run in $({
		ip netns list | awk '{print $1}'
		ls "$netns_root" /sys/fs/bpf /tmp 2>/dev/null
	} | grep -oE "^$netns_name-[0-9]+" | sort -u); do
		netns_is_alive "${run##*-}" || netns_remove "$run"
	done
}

# A killed shell that nobody has waited for yet is as dead as one that is gone.
netns_is_alive() { # PID
	grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"
}

netns_end() {
	local status=$?
	trap '' INT TERM HUP
	netns_remove "$netns_run"
	exit "$status"
}

netns_remove() { # RUN
	local ns pids d
	for ns in $(ip netns list | awk '{print $1}' | grep -E "^$1-"); do
		pids=$(ip netns pids "$ns")
		# shellcheck disable=SC2086
		[ -z "$pids" ] || kill -9 $pids 2>/dev/null
		ip netns del "$ns"
	done
	# Links pinned there keep programs attached until the pins go.
	rm -rf "/sys/fs/bpf/$1" "/tmp/$1".*
	# shellcheck disable=SC2044 # names without blanks: made here
	for d in $(find "$netns_root/$1" -depth -type d 2>/dev/null); do
		pids=$(cat "$d/cgroup.procs" 2>/dev/null)
		# shellcheck disable=SC2086
		[ -z "$pids" ] || kill -9 $pids 2>/dev/null
		wait_until 5 rmdir "$d" 2>/dev/null
	done
	return 0
}

# Not "ip netns exec": that mounts another /sys, without bpffs and cgroups.
in_ns() { # NS CMD...
	local ns=$1
	shift
	nsenter --net="/run/netns/$netns_run-$ns" -- "$@"
}

spawn() { # NS CMD...
	local ns=$1
	shift
	nsenter --net="/run/netns/$netns_run-$ns" -- "$@" &
	spawned=$!
	# Killed by netns_end at the latest; no message of the shell about it.
	disown "$spawned"
}

# CMD with its process in the run's cgroup (a directory below it if DIR).
in_cgroup() { # DIR CMD...
	local dir=$netns_cgroup/$1
	shift
	mkdir -p "$dir"
	bash -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$dir" "$@"
}

wait_until() { # SECONDS CMD...
	local deadline=$(($(date +%s%N) + $1 * 1000000000))
	shift
	until "$@"; do
		[ "$(date +%s%N)" -lt "$deadline" ] || return 1
		sleep 0.02
	done
}

netns_add() { # NS...
	local ns
	for ns; do
		ip netns add "$netns_run-$ns"
		ip -n "$netns_run-$ns" link set lo up
		in_ns "$ns" sysctl -qw net.ipv6.conf.all.accept_dad=0 \
			net.ipv6.conf.default.accept_dad=0 \
			net.ipv4.conf.all.rp_filter=0 \
			net.ipv4.conf.default.rp_filter=0
	done
}

# A veth pair; each end is "NS DEV".
netns_veth() { # NS DEV NS DEV
	ip -n "$netns_run-$1" link add "$2" type veth \
		peer name "$4" netns "$netns_run-$3"
	ip -n "$netns_run-$1" link set "$2" up
	ip -n "$netns_run-$3" link set "$4" up
}

# A host on the bridge of namespace lan.
netns_on_lan() { # NS LAST-OCTET
	netns_veth "$1" eth0 lan "$1"
	ip -n "$netns_run-lan" link set "$1" master br0
	ip -n "$netns_run-$1" addr add "192.0.2.$2/24" dev eth0
	ip -n "$netns_run-$1" addr add "2001:db8:1::$2/64" dev eth0 nodad
}

netns_pod() { # NODE-NUMBER POD LAST-OCTET
	local n=$1 pod=$2 node=node$1
	netns_veth "$node" "$pod" "$pod" eth0
	ip -n "$netns_run-$node" addr add "10.1.$n.1/32" dev "$pod"
	ip -n "$netns_run-$node" addr add fe80::1/64 dev "$pod" nodad
	ip -n "$netns_run-$node" route add "10.1.$n.$3/32" dev "$pod"
	ip -n "$netns_run-$node" route add "fd01:$n::$3/128" dev "$pod"
	ip -n "$netns_run-$pod" addr add "10.1.$n.$3/32" dev eth0
	ip -n "$netns_run-$pod" addr add "fd01:$n::$3/128" dev eth0 nodad
	ip -n "$netns_run-$pod" route add "10.1.$n.1/32" dev eth0
	ip -n "$netns_run-$pod" route add default via "10.1.$n.1"
	ip -n "$netns_run-$pod" route add default via fe80::1 dev eth0
}

netns_two_nodes() {
	local n other
	# shellcheck disable=SC2086 # a list
	netns_add lan out node1 node2 $netns_pods
	ip -n "$netns_run-lan" link add br0 type bridge mcast_snooping 0
	ip -n "$netns_run-lan" link set br0 up
	netns_on_lan node1 11
	netns_on_lan node2 12
	netns_on_lan out 21
	for n in 1 2; do
		other=$((3 - n))
		in_ns "node$n" sysctl -qw net.ipv4.ip_forward=1 \
			net.ipv6.conf.all.forwarding=1
		netns_pod "$n" "p${n}a" 10
		netns_pod "$n" "p${n}b" 11
		ip -n "$netns_run-node$n" route add "10.1.$other.0/24" \
			via "192.0.2.1$other"
		ip -n "$netns_run-node$n" route add "fd01:$other::/64" \
			via "2001:db8:1::1$other"
		# The nodes' way off the cluster: what makes eth0 external.
		ip -n "$netns_run-node$n" route add default via 192.0.2.1
	done
	ip -n "$netns_run-out" route add 198.51.100.0/24 via 192.0.2.11
	ip -n "$netns_run-out" route add 2001:db8:100::/64 via 2001:db8:1::11
}

# FORWARD as careful operators write it: nothing that conntrack cannot place.
netns_drop_invalid() { # NS
	in_ns "$1" nft -f - <<-'EOR'
		table inet guard {
			chain forward {
				type filter hook forward priority 0; policy drop;
				ct state invalid counter drop
				ct state established,related accept
				ct state new accept
			}
		}
	EOR
}

# ---------------------------------------------------------------- TAP
tap_n=0
tap_failed=0

tap_plan() { # N
	echo "1..$1"
}

tap_ok() { # STATUS TEXT
	tap_n=$((tap_n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tap_n - $2"
	else
		echo "not ok $tap_n - $2"
		tap_failed=$((tap_failed + 1))
	fi
}

tap_is() { # TEXT GOT WANT (a pattern has no meaning in it)
	[[ $2 == "$3" ]]
	local r=$?
	((r == 0)) || echo "# $1: got '$2', want '$3'"
	tap_ok "$r" "$1"
}

tap_skip() { # TEXT WHY
	tap_n=$((tap_n + 1))
	echo "ok $tap_n - $1 # SKIP $2"
}

# Runs CMD, silently unless it fails.
tap_run() { # TEXT CMD...
	local text=$1 out status=0
	shift
	out=$("$@" 2>&1) || status=$?
	[ "$status" -eq 0 ] || echo "$out" | sed 's/^/# /'
	tap_ok "$status" "$text"
}

tap_end() {
	exit $((tap_failed > 0))
}
