#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Trailers that come in part, from HTTP/1.1 to HTTP/2, both ways: none of their
# bytes is body, and none of what lies behind them in memory.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/h2.sh
. "$here/h2.sh"
# shellcheck source=tests/proxy/clients/lib.sh
. "$here/clients/lib.sh"

needs_python
open_site
{
	route trailers-h1 9131
	route trailers-h2 9132 kubernetes.io/h2c
} >"$dir/site/trailers.yaml"
proxy "$dir/site" workers=1 max_head_bytes=4096 buffer_bytes=8192 stall_timeout_ms=4000
for v in h1 h2; do
	port=913${v#h}
	python3 "$here/clients/trailers.py" $v 127.0.1.1 "$port" >"$dir/$v" 2>&1 3>&- &
	others+=($!)
	await ready "$dir/$v"
done
numbered python3 "$here/clients/trailers.py" call 127.0.0.30 8080 8192
ok "too many lines are counted" \
	[ "$(stat_of HEAD_TOO_LARGE) $(stat_of BAD_RESPONSE)" = "2 2" ]
ok "nothing is left in flight" settles in_flight 0
exec 3>&-
wait "$driver"
ok "and the proxy ends well" [ $? = 0 ]
driver=
exec 3>/dev/null
plan
