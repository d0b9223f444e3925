#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# HTTP/2 where buffers or memory are at an end: the stream that needs some is
# told so, the others of its connection go on, and all that was held is back.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/h2.sh
. "$here/h2.sh"
# shellcheck source=tests/proxy/clients/lib.sh
. "$here/clients/lib.sh"

needs_python
cp -r "$here/site" "$dir/site"
{
	route memory-h1 9141
	route memory-h2 9142 kubernetes.io/h2c
	route memory-full 9143
} >"$dir/site/memory.yaml"

# A client that is left anywhere would hold it for the ten seconds of a drain.
ends_well() {
	local began=$SECONDS
	proxy_end
	ok "and the proxy ends well, and at once" [ $? = 0 -a $((SECONDS - began)) -lt 6 ]
}

proxy "$dir/site" workers=1 max_buffer_mib=1 buffer_bytes=32768 h2_resets=4 \
	head_timeout_ms=60000 connect_timeout_ms=60000
numbered timeout 60 python3 "$here/clients/h2_memory.py" buffers 127.0.0.30 8080 "$dir/out"
ok "nothing is left in flight" settles in_flight 0
ends_well

rm "$dir/in" "$dir/out"
proxy "$dir/site" workers=1 head_timeout_ms=60000
numbered timeout 60 python3 "$here/clients/h2_memory.py" memory 127.0.0.30 8080 "$dir/out"
ok "nothing is left in flight" settles in_flight 0
ends_well
plan
