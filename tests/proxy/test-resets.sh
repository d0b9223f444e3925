#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Resets of connections from which nobody reads: over io_uring what is said of
# them, and when, is what it is over epoll.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

cases=$(sed -n 's/^def \(.*\)():$/\1/p' "$here/clients/resets.py")
names="CLIENT_GONE BAD_RESPONSE TIMEOUT RETRIED"
# What the two ends of a case see, what was counted, and what was logged.
seen() { # CASE
	local name before=() n=0
	: >"$dir/log"
	for name in $names; do before+=("$(stat_of "$name")"); done
	timeout 60 python3 "$here/clients/resets.py" 127.0.0.30 8080 "$1" "$dir/log" "$pid"
	for _ in $(seq 250); do
		[ "$(stat_of in_flight)" != 0 ] || [ ! -s "$dir/log" ] || break
		sleep 0.02
	done
	for name in $names; do
		echo "$name +$(($(stat_of "$name") - before[n++]))"
	done
	echo "in flight $(stat_of in_flight)"
	jq -r '"\(.status) \(.reason): \(.detail)"' "$dir/log"
}
for io in epoll uring; do
	export WEIR_TEST_IO=$io
	rm -f "$dir/in" "$dir/out"
	proxy "$here/site" workers=1 access_log="$dir/log"
	if grep -q 'io_uring: .* uses epoll' "$dir/err"; then
		echo "# $(grep -o 'io_uring: .*' "$dir/err")"
		break
	fi
	for c in $cases; do seen "$c" >"$dir/$io.$c"; done
	proxy_end
done
has() { # FILE TEXT...
	local file=$1 text
	shift
	for text in "$@"; do
		grep -qxF "$text" "$file" || { sed 's/^/# /' "$file" && return 1; }
	done
}
same() { # CASE
	diff "$dir/epoll.$1" "$dir/uring.$1" >"$dir/diff" || { sed 's/^/# /' "$dir/diff" && return 1; }
}
for c in $cases; do
	case $c in
	half_*|ahead_*) what=('CLIENT_GONE +1' 'TIMEOUT +0') ;;
	tunnel_backend) what=('the client is told: True') ;;
	tunnel_client) what=('over: True, and the backend sees a reset after much') ;;
	answer_*|both_*) what=('the client sees a reset after much' 'BAD_RESPONSE +1') ;;
	ended_backend) what=('the client sees a reset after little' 'BAD_RESPONSE +1') ;;
	ended_whole) what=('the client sees an end after little' 'BAD_RESPONSE +0') ;;
	ended_client) what=('the client sees a reset after little' 'CLIENT_GONE +1') ;;
	*) what=('a case without a verdict') ;;
	esac
	ok "$c: ${what[0]}, nothing in flight" has "$dir/epoll.$c" "${what[@]}" 'in flight 0'
	[ ! -e "$dir/uring.$c" ] || ok "$c: the same over io_uring" same "$c"
done
plan
