#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# While buffers are short who takes nothing is ended, whatever it speaks, and who
# takes something is not, however slowly.
# timeout: 300
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

needs_python
play() { # CASE MIB
	proxy_over "$io" "$here/site" workers=1 max_buffer_mib="$2" || return
	got=$(timeout 60 python3 "$here/clients/short.py" 127.0.0.30 8080 "$1" 2>&1)
	echo "# $io, $1: $got"
	counted=$(stat_of TIMEOUT),$(stat_of TUNNEL_TIMEOUT)
	proxy_end
}

backend A=http:127.0.1.1:9101
for io in epoll uring; do
	play slow 8 || break
	ok "$io: a slow reader is served" [ "$got" = 'served, then 200' ]
	ok "$io: who takes nothing is not ($counted)" [ "${counted%,*}" -gt 0 ]
	ip link set lo mtu 1500 # or a segment is more than the client's window
	play streams 16
	ip link set lo mtu 65536
	ok "$io: nor are streams ended that share a slow connection" \
		[ "$got" = '100 whole, 0 cut, then 200' ]
	play answered 8
	ok "$io: streams that were answered give their buffers to others" \
		[ "$got" = '200, 503, 200' ]
	play tunnels 8
	ok "$io: tunnels that take nothing give their buffers to others" \
		[ "$got" = '200, 503, 200' ]
	ok "$io: which is counted ($counted)" [ "${counted#*,}" -gt 0 ]
done
plan
