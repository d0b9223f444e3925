#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# HTTP/2: heads near a limit and above nghttp2's, heads that do not end, and
# peers that take nothing, clients and backends, and those who hold all buffers.
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
	route limits-heads 9141 kubernetes.io/h2c
	route limits-size 9142 kubernetes.io/h2c
	route limits-deaf 9143 kubernetes.io/h2c
	route limits-zero 9144 kubernetes.io/h2c
	route limits-large 9145
	route limits-silent 9146 kubernetes.io/h2c
	route limits-late 9147 kubernetes.io/h2c ', timeouts: {request: 200ms}'
} >"$dir/site/limits.yaml"
client=$here/clients/h2_limits.py
port=9141
for kind in heads size deaf zero large-h1 dying late; do
	: >"$dir/$kind"
	python3 "$client" $kind 127.0.1.1 $port >"$dir/$kind" 2>&1 &
	others+=($!)
	await ready "$dir/$kind"
	port=$((port + 1))
done

proxy "$dir/site" workers=1 max_head_bytes=4096 buffer_bytes=8192 head_timeout_ms=500 \
	stall_timeout_ms=2000 pool_idle_ms=1000 connect_timeout_ms=1000
backend A=http:127.0.1.1:9101
numbered timeout 60 python3 "$client" lengths 127.0.0.30 8080
numbered timeout 60 python3 "$client" silent 127.0.0.30 8080
numbered timeout 60 python3 "$client" slow-start 127.0.0.30 8080
before=$(stat_of HEAD_TIMEOUT)
numbered timeout 60 python3 "$client" slow 127.0.0.30 8080
ok "each head that was late is counted" [ $(($(stat_of HEAD_TIMEOUT) - before)) = 4 ]
ok "no connection to a backend is left" settles upstreams 0
numbered timeout 60 python3 "$client" ignored 127.0.0.30 8080
ok "nor one that the backend does not read" settles upstreams 0
ok "nothing is left in flight" settles in_flight 0
exec 3>&-
wait "$driver"
ok "and the proxy ends well" [ $? = 0 ]

rm "$dir/in" "$dir/out"
proxy "$dir/site" workers=1 max_head_bytes=140000 buffer_bytes=262144 stall_timeout_ms=2000
numbered timeout 60 python3 "$client" large 127.0.0.30 8080
# Their pool keeps unused ones for 30 seconds.
before=$(stat_of upstreams)
numbered timeout 60 python3 "$client" none 127.0.0.30 8080
after=$(stat_of upstreams)
ok "its connections do not stay ($before, $after)" [ $((after - before)) -le 2 ]
exec 3>&-
wait "$driver"
ok "the proxy with large heads ends well" [ $? = 0 ]

rm "$dir/in" "$dir/out"
proxy "$dir/site" workers=1 max_buffer_mib=8
numbered timeout 90 python3 "$client" crowd 127.0.0.30 8080
ok "what was given up is counted" [ "$(stat_of TIMEOUT)" -ge 100 ]
ok "as are bodies that did not come" [ "$(stat_of BODY_TIMEOUT)" -ge 50 ]
ok "nothing is left in flight of them" settles in_flight 0
exec 3>&-
wait "$driver"
ok "the proxy with few buffers ends well" [ $? = 0 ]
driver=
exec 3>/dev/null
plan
