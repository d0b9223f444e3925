#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A worker that does not run for longer than its limits allow, stopped or on a
# machine that was: what came in time is not too late because the worker is.
# timeout: 240
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

needs_python
sysctl -qw net.core.somaxconn=4096
limits='head_timeout_ms body_timeout_ms stall_timeout_ms idle_timeout_ms pool_idle_ms'
for io in epoll uring; do
	# shellcheck disable=SC2086
	proxy_over $io "$here/site" workers=1 max_client_connections=0 pool_idle_max=8000 \
		${limits// /=9000 }=9000 || break
	got=$(timeout 110 python3 "$here/clients/paused.py" 127.0.0.30 8080 "${pid:?}" 10 2>&1)
	kill -CONT "$pid" # where the client was ended before it did
	echo "# $io: $got"
	ok "$io: served is who spoke in time, and nobody else" \
		[ "$got" = '1200 responses, 1200 bodies, 1200 heads, 1200 idle, 408 408 504 closed' ]
	proxy_end
done
plan
