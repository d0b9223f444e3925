#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pieces of many bodies that come at once: others do not wait until all of them
# have moved on, and they do not wait for all others.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

needs_python
# play IO CASE [name=value...]: of clients/bodies.py; what it says is in $got, the
# number at its beginning in $count.
play() {
	local io=$1 case=$2
	shift 2
	proxy_over "$io" "$here/site" workers=1 "$@" || return
	got=$(timeout 40 python3 "$here/clients/bodies.py" 127.0.0.30 8080 "$pid" "$case" 2>&1)
	kill -CONT "$pid" # where the client was ended before it did
	proxy_end
	echo "# $io, $case: $got"
	count=${got%% *}
}

for io in epoll uring; do
	play $io short || break
	ok "$io: most of 200 bodies let a short request go first" [ "$count" -lt 64 ]
	ok "$io: and go on whole" [ "${got#*, }" = '200 whole' ]
	play $io share
	ok "$io: half of 80 bodies go before the last of 160 short requests" \
		[ "$count" -ge 40 ]
	ok "$io: and go on whole" [ "${got#*, }" = '80 whole' ]
	play $io reset max_connections=201
	ok "$io: a client that resets behind 200 bodies gives its place at once" \
		[ "$count" -lt 100 ]
	ok "$io: and the others go on whole" [ "${got#*, }" = '200 whole' ]
	play $io room
	ok "$io: one whose response waits for room does not wait with its body" [ "$count" -lt 100 ]
	ok "$io: and the others go on whole" [ "${got#*, }" = '200 whole' ]
done
plan
