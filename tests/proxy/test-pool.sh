#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pooled connection that its backend ends in the middle of a turn: what is not
# sent twice, because of its method or its body, does not go by it.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

needs_python
for io in epoll uring; do
	proxy_over $io "$here/site" workers=1 || break
	for method in POST PUT; do
		got=$(timeout 60 python3 "$here/clients/pool.py" 127.0.0.30 8080 "$pid" $method 2>&1)
		ok "$io: a $method asks its pooled connection whether it stands ($got)" \
			[ "$got" = '10 ended, 0 of them written to' ]
		ok "and is not sent again" [ "$(stat_of RETRIED)" = 0 ]
	done
	proxy_end
done
plan
