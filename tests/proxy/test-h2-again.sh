#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Requests that a backend of HTTP/2 certainly did not look at are sent again,
# whatever their method, with what has gone of their body.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/h2.sh
. "$here/h2.sh"
# shellcheck source=tests/proxy/clients/lib.sh
. "$here/clients/lib.sh"

needs_python
open_site
route again 9134 kubernetes.io/h2c >"$dir/site/again.yaml"
for io in epoll uring; do
	proxy_over $io "$dir/site" workers=1 max_head_bytes=4096 buffer_bytes=8192 || break
	numbered timeout 60 python3 "$here/clients/h2_again.py" 127.0.0.30 8080 "$pid"
	ok "$io: nothing is left in flight" settles in_flight 0
	ok "and the proxy ends well" proxy_end
done
plan
