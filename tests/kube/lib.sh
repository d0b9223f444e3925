# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For tests of the API client on a real API server: sourced, after
# tests/cluster/lib.sh, then
#
#	kube_begin               a directory, $work, and the end of all drivers
#	driver NAME [-at NODE] ARG...
#	                         starts weir-kube-driver; its log is $work/NAME.log
#	ask NAME COMMAND         one command; prints its answer, JSON
#	says NAME COMMAND FILTER the answer makes jq's FILTER true
#	soon NAME COMMAND FILTER ... within 30 s
#	post PATH < LINES        creates each line, a JSON object, there; many at a
#	                         time
#	object FORMAT ARG...     printf, without the line breaks and blanks of the
#	                         source
#
# The administrator is $admin (arguments of curl), the API server $api.

api=https://10.240.0.1:6443
declare -A driver_in driver_out

kube_begin() {
	local pki
	work=$(mktemp -d "/tmp/$CLUSTER.XXXXXX")
	# shellcheck disable=SC2154 # of tests/cluster/lib.sh
	pki=$cluster_state/pki
	admin=(--cacert "$pki/ca.crt" --cert "$pki/admin.crt" --key "$pki/admin.key")
	trap 'kube_end' EXIT
}

kube_end() {
	local status=$? in
	for in in "${driver_in[@]}"; do
		exec {in}>&-
	done
	if ((status)) || ((${tap_failed:-0})); then
		tail -n 20 "$work"/*.log | cut -c1-300 | sed 's/^/# /'
	fi
	rm -rf "$work"
	(exit "$status")
	cluster_end
}

driver() { # NAME [-at NODE] ARG...
	local name=$1 node=1 in out
	shift
	if [[ ${1-} == -at ]]; then
		node=$2
		shift 2
	fi
	mkfifo "$work/$name.in" "$work/$name.out"
	on "$node" env "PATH=$PATH" "${driver_env[@]}" "$WEIR_BUILD/tests/weir-kube-driver" "$@" \
		<"$work/$name.in" >"$work/$name.out" 2>>"$work/$name.log" &
	disown
	exec {in}>"$work/$name.in" {out}<"$work/$name.out"
	driver_in[$name]=$in
	driver_out[$name]=$out
	rm "$work/$name.in" "$work/$name.out"
}
driver_env=()

ask() { # NAME COMMAND
	local answer
	(echo "$2" >&"${driver_in[$1]}") 2>/dev/null
	IFS= read -r -t 10 answer <&"${driver_out[$1]}" || {
		echo null
		return 1
	}
	printf '%s\n' "$answer"
}

says() { # NAME COMMAND FILTER
	local answer
	answer=$(ask "$1" "$2") && [[ -n $answer ]] && jq -e "$3" >/dev/null <<<"$answer"
}

soon() { # NAME COMMAND FILTER
	wait_until 30 says "$@" || {
		echo "# not within 30 s: $1: $3"
		ask "$1" "$2" | jq -c . | cut -c1-2000 | sed 's/^/# /'
		return 1
	}
}

get() { # NAME COMMAND FILTER -> raw
	ask "$1" "$2" | jq -r "$3"
}

object() {
	local format
	format=$(tr -d '\n\t' <<<"$1")
	shift
	# shellcheck disable=SC2059 # it is one
	printf "$format\n" "$@"
}

# curl's configuration file: one connection for all, many requests at a time.
post() { # PATH
	jq -cr --arg url "$api$1" '"next\nurl = \"\($url)\"\noutput = /dev/null\nsilent\nshow-error\nfail\n" +
		"header = \"Content-Type: application/json\"\ndata = \(tojson | tojson)"' >"$work/post"
	# What is for all requests must be said for each.
	sed "s|^next\$|next\\ncacert = \"${admin[1]}\"\\ncert = \"${admin[3]}\"\\nkey = \"${admin[5]}\"|" \
		"$work/post" | sed 1d >"$work/post.curl"
	on 1 curl --no-progress-meter --parallel --parallel-max 40 -K "$work/post.curl"
	local r=$?
	rm -f "$work/post" "$work/post.curl"
	return $r
}
