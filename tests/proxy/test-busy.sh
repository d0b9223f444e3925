#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Transfers that always have bytes and room: none is cut as one that stands still,
# and others do not wait for all of them.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

needs_python
# beside WAY N SECONDS: n_short is how many short requests of 4 clients are
# answered in one of the SECONDS in which N transfers go WAY.
beside() {
	timeout 40 python3 "$here/clients/busy.py" 127.0.0.30 8080 "$@" >"$dir/busy" 2>&1 3>&- &
	sleep 1
	n_short=$(timeout 20 "$bin/weir-load" --connect 127.0.0.30:8080 -c 4 -t 1 --keepalive \
		http://errors/dead/x | jq .latency_us.n)
	wait $!
	echo "# $io: $n_short short requests beside $2 $1, $(cat "$dir/busy") go on"
}

backend http:127.0.1.9:9109
for io in epoll uring; do
	proxy_over $io "$here/site" workers=1 stall_timeout_ms=500 body_timeout_ms=500 || break
	for way in up down; do
		got=$(timeout 40 python3 "$here/clients/busy.py" 127.0.0.30 8080 $way 6 2.5 2>&1)
		echo "# $io, $way: $got"
		ok "$io: of 6 that move bytes all the time none stands still, $way" \
			[ "$got" = '6 of 6' ]
		beside $way 100 2.5
		ok "$io: others get on beside a hundred, $way" [ "${n_short:-0}" -ge 200 ]
	done
	proxy_end
done
plan
