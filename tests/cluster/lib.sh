# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A cluster of its own for a test: sourced, then
#
#	cluster_needs WHAT...       builds programs; skips the whole test where that
#	                            was done before and there was no way (CI)
#	cluster_begin NAME FLAG...  starts one named weir-NAME-PID (flags of rig
#	                            up); stops it when the shell ends, however
#	rig ARG...                  tests/cluster/rig for it
#	kubectl ARG...              likewise
#	on NODE CMD...              CMD in the network and cgroup of a node;
#	                            0: a client outside
#	in_pod POD CMD...           CMD in a pod of the present namespace
#	cluster_prefer              its programs of now, and this shell, come before
#	                            other work of the machine, if REALTIME is set
#	cluster_preferring CMD...   likewise, all the time that CMD takes
#
# wait_until and tap_... are those of tests/netns/lib.sh.

. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"

cluster_needs() { # WHAT...
	local rig why
	rig=$(realpath "$(dirname "${BASH_SOURCE[0]}")/rig")
	if [[ -z ${WEIR_CLUSTER_BUILT-} ]]; then
		"$rig" build "$@" >&2 || exit 1
		return
	fi
	why=$("$rig" missing "$@")
	if [[ -n $why ]]; then
		echo "1..0 # SKIP $why"
		exit 0
	fi
}

cluster_begin() { # NAME FLAG...
	cluster_start "$1"
	shift
	cluster_needs podinit kube rig
	cluster_preferring rig up "$@" | sed 's/^/# /'
	[[ ${PIPESTATUS[0]} == 0 ]] || {
		echo "Bail out! the cluster does not come up"
		exit 1
	}
}

# Its name, and its end; what a killed run of this name has left goes first.
cluster_start() { # NAME
	local old
	cluster_kind=weir-$1
	export CLUSTER=$cluster_kind-$$
	cluster_root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
	cluster_cache=${WEIR_CACHE:-$HOME/.cache/weir}
	cluster_state=$cluster_cache/clusters/$CLUSTER
	trap cluster_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	for old in "$cluster_cache/clusters/$cluster_kind"-*; do
		if [[ -d $old ]] && ! netns_is_alive "${old##*-}"; then
			CLUSTER=${old##*/} rig down
			rm -rf "$old"
		fi
	done
}

cluster_end() {
	local status=$?
	trap '' INT TERM HUP
	if ((status)) || ((${tap_failed:-0})); then
		tail -n 5 "$cluster_state"/log/*.log 2>/dev/null | cut -c1-300 | sed 's/^/# /'
	fi
	rig down
	rm -rf "$cluster_state"
	exit "$status"
}

rig() {
	"$cluster_root/tests/cluster/rig" "$@"
}
kubectl() {
	rig kubectl "$@"
}
on() { # NODE CMD...
	local node=$1
	shift
	rig exec -node "$node" -- "$@"
}
# Niceness counts within a session only (sched(7), autogroup).
cluster_prefer() {
	local pid root
	[[ -n ${REALTIME:-} ]] || return 0
	root=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)
	for pid in $(find "$root/$CLUSTER" -name cgroup.procs -exec cat {} + 2>/dev/null) $$; do
		echo -15 >"/proc/$pid/autogroup"
	done 2>/dev/null
}
cluster_preferring() { # CMD...
	local status loop
	while sleep 0.5; do
		cluster_prefer
	done >/dev/null &
	loop=$!
	"$@"
	status=$?
	kill $loop
	wait $loop 2>/dev/null
	return $status
}
in_pod() { # POD CMD...
	local pod=$1
	shift
	kubectl exec "$pod" -- "$@"
}
