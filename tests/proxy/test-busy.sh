#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Transfers that always have bytes and room, longer than what ends one that
# stands still: none is cut.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

if ! command -v python3 >/dev/null; then
	echo "1..0 # SKIP python3 is not installed"
	exit 0
fi
for io in epoll uring; do
	proxy_over $io "$here/site" workers=1 stall_timeout_ms=500 body_timeout_ms=500 || break
	for way in up down; do
		got=$(timeout 40 python3 "$here/clients/busy.py" 127.0.0.30 8080 $way 6 2.5 2>&1)
		echo "# $io, $way: $got"
		ok "$io: of 6 that move bytes all the time none stands still, $way" \
			[ "$got" = '6 of 6' ]
	done
	exec 3>&-
	wait "$driver"
	driver=
done
plan
