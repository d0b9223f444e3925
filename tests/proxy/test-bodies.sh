#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pieces of many bodies that come at once: a short request behind them does not
# wait until all of them have moved on.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

if ! command -v python3 >/dev/null; then
	echo "1..0 # SKIP python3 is not installed"
	exit 0
fi
for io in epoll uring; do
	proxy_over $io "$here/site" workers=1 || break
	got=$(timeout 40 python3 "$here/clients/bodies.py" 127.0.0.30 8080 "$pid" 2>&1)
	kill -CONT "$pid" # where the client was ended before it did
	echo "# $io: $got"
	before=${got%% before*}
	ok "$io: most of 200 bodies let a short request go first" \
		[ "$before" -lt 64 ]
	ok "$io: and go on whole" [ "${got#*, }" = '200 whole' ]
	exec 3>&-
	wait "$driver"
	driver=
done
plan
