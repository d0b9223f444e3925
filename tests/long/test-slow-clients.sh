#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slowhttptest's three attacks: what others notice of them is their p99, which
# stays within twice what it was.  timeout: 300
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/../proxy/lib.sh"
# shellcheck source=tests/proxy/clients/lib.sh
. "$here/clients/lib.sh"

ulimit -n "$(ulimit -Hn)"
open_site
proxy "$dir/site" workers=2 max_connections=4000
# The attacked backend is one of its own: it suffers, as it would without a proxy.
backend A=http:127.0.1.1:9101
backend B=http:127.0.1.3:9103 U=udp:127.0.1.3:9103
if ! client_is slowhttptest "command -v slowhttptest && command -v jq"; then
	plan
fi

# p99 of others, microseconds, at a rate that leaves the machine free.
p99() {
	"$bin/weir-load" --connect 127.0.0.30:8080 -c 8 -r 500 -t 5 --keepalive \
		--check-body http://t/bytes/1000 >"$dir/load" 2>/dev/null
	jq -r 'if .failed > 0 then "failed" else .latency_us.p99 end' <"$dir/load"
}
# attack NAME slowhttptest-options...: best of three, on a machine with others.
attack() {
	local name=$1 alone slow try r=1
	shift
	for try in 1 2 3; do
		alone=$(p99)
		slowhttptest -c 1000 -r 1000 -l 20 -i 1 -p 3 "$@" >"$dir/slow" 2>&1 3>&- &
		attacker=$!
		sleep 4 # all are connected, and buffers are full
		slow=$(p99)
		kill $attacker 2>/dev/null
		wait $attacker 2>/dev/null
		echo "# $name, try $try: p99 alone $alone us, beside it $slow us"
		[[ $slow != failed && $alone != failed ]] || continue
		# Below 500 us a neighbour's wake-up decides, not the proxy.
		[ "$alone" -ge 500 ] || alone=500
		[ "$slow" -gt $((2 * alone)) ] || { r=0; break; }
	done
	ok "$name: p99 of others within 2 x" [ $r = 0 ]
}
attack "slow heads" -H -u "$url/attack"
attack "slow bodies" -B -s 8192 -u "$url/attack"
attack "slow readers" -X -w 512 -y 1024 -n 5 -z 32 -k 3 -u "$url/attack/bytes/300000"
ok "the proxy still answers" [ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' "$url/")" = 200 ]
ok "slow heads were answered or ended" settles in_flight 0
plan
