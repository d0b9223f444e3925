#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slowhttptest's three attacks: what others notice of them is their p99, which
# stays within twice that of a proxy that is not attacked.  That one runs beside
# it, and both are asked in turn while the attack lasts: what attacker, backends
# and neighbours do to the machine reaches both.  timeout: 400
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/../proxy/lib.sh"
# shellcheck source=tests/proxy/clients/lib.sh
. "$here/clients/lib.sh"

turns=9
ulimit -n "$(ulimit -Hn)"
open_site
mkdir "$dir/calm"
sed 's/127\.0\.0\.30/127.0.0.31/' "$dir/site/site.yaml" >"$dir/calm/site.yaml"
cp "$dir/site/clients.yaml" "$dir/calm/"
# Timeouts that would end the attack are not what is asked about.
limits=(workers=2 max_connections=4000 head_timeout_ms=300000 body_timeout_ms=300000)
proxy "$dir/site" "${limits[@]}"
# The attacked backend is one of its own: it suffers, as it would without a proxy.
backend A=http:127.0.1.1:9101
backend B=http:127.0.1.3:9103 U=udp:127.0.1.3:9103
# The same again, for the proxy that nobody attacks.
mkfifo "$dir/in2"
"$bin/weir-proxy-driver" "$dir/calm" "${limits[@]}" \
	<"$dir/in2" >"$dir/out2" 2>"$dir/err2" 3>&- &
calm=$!
exec 4>"$dir/in2"
if ! client_is slowhttptest "command -v slowhttptest && command -v jq"; then
	exec 4>&-
	plan
fi

# p99 ADDRESS: of others there, microseconds, at a rate that leaves the machine
# free.
p99() {
	"$bin/weir-load" --connect "$1:8080" -c 8 -r 500 -t 2 --keepalive \
		--check-body http://t/bytes/1000 >"$dir/load" 2>/dev/null 3>&- 4>&-
	jq -r 'if .failed > 0 then "failed" else .latency_us.p99 end' <"$dir/load"
}
median() { sort -n "$1" | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
# attack NAME slowhttptest-options...
attack() {
	local name=$1 here there
	shift
	: >"$dir/here"
	: >"$dir/there"
	slowhttptest -c 1000 -r 1000 -l 120 -i 1 -p 3 "$@" >"$dir/slow" 2>&1 3>&- 4>&- &
	attacker=$!
	sleep 4 # all are connected, and buffers are full
	for _ in $(seq $turns); do
		p99 127.0.0.30 >>"$dir/here"
		p99 127.0.0.31 >>"$dir/there"
	done
	attacked=$(($(stat_of clients_opened) - $(stat_of clients_closed)))
	kill $attacker 2>/dev/null
	wait $attacker 2>/dev/null
	here=$(median "$dir/here") there=$(median "$dir/there")
	echo "# $name: p99 $here us, beside it $there us (median of $turns; $attacked connections)"
	ok "$name: nobody else's request fails" [ "$(grep -c failed "$dir/here")" = 0 ]
	# Below 500 us a neighbour's wake-up decides, not the proxy.
	[ "$there" -ge 500 ] || there=500
	ok "$name: p99 of others within 2 x" [ "$here" -le $((2 * there)) ]
	ok "$name: there were attackers" [ "$attacked" -gt 100 ]
}
attack "slow heads" -H -u "$url/attack"
attack "slow bodies" -B -s 8192 -u "$url/attack"
attack "slow readers" -X -w 512 -y 1024 -n 5 -z 32 -k 3 -u "$url/attack/bytes/300000"
ok "the proxy still answers" [ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' "$url/")" = 200 ]
ok "slow heads were answered or ended" settles in_flight 0
exec 4>&-
wait $calm
plan
