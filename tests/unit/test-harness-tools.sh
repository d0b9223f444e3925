#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# weir-echo and weir-load against each other on loopback: what is asked is
# answered, what is counted is what happened, and each kind of failure is seen.
# timeout: 60

set -u
B=${WEIR_BUILD:-build}/tests
work=$(mktemp -d)
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
n=0
status=0

check() { # NAME JQ-EXPRESSION EXIT-STATUS [weir-load arguments]
	local name=$1 expr=$2 want=$3 got=0
	shift 3
	n=$((n + 1))
	"$B/weir-load" "$@" >"$work/out" 2>"$work/err" || got=$?
	if [[ $got == "$want" ]] && jq -e "$expr" "$work/out" >/dev/null; then
		echo "ok $n - $name"
	else
		status=1
		echo "# exit status $got, wanted $want: $expr"
		sed 's/^/# /' "$work/out" "$work/err"
		echo "not ok $n - $name"
	fi
}

# Ports of a range that nothing in the system hands out by itself.
for base in 23100 23200 23300 23400; do
	"$B/weir-echo" --name b1 http:127.0.0.1:$base \
		tcp:127.0.0.1:$((base + 1)) udp:127.0.0.1:$((base + 2)) \
		"v6=http:[::1]:$base" "v6=tcp:[::1]:$((base + 1))" \
		"v6=udp:[::1]:$((base + 2))" silent:127.0.0.1:$((base + 3)) \
		any=udp:0.0.0.0:$((base + 4)) >"$work/ready" 2>/dev/null &
	server=$!
	for _ in {1..100}; do
		[[ -s $work/ready ]] && break 2
		kill -0 $server 2>/dev/null || break
		sleep 0.02
	done
done
[[ -s $work/ready ]] || { echo "Bail out! no ports" && exit 1; }

http=http://127.0.0.1:$base
all='.failed == 0 and .in_flight == 0 and .done'

echo 1..24
check "http, a connection per request" \
	"$all and .backends.b1 == 50 and .connections == 50" 0 -n 50 -c 4 "$http/"
check "http, keep-alive" \
	"$all and .backends.b1 == 500 and .connections == 4 and .statuses[\"200\"] == 500" \
	0 -n 500 -c 4 --keepalive "$http/"
check "http over IPv6, by name" "$all and .backends.v6 == 10" \
	0 -n 10 --connect "[::1]:$base" http://any.example/
check "every byte of long answers is checked" \
	"$all and .rx_bytes > 2000000" \
	0 -n 20 -c 4 --keepalive --check-body "$http/bytes/100000"
check "chunked bodies both ways" "$all and .completed == 20" \
	0 -n 20 --keepalive --check-body --chunked --size 50000 -X POST \
	"$http/bytes/70000/chunked"
check "a wrong body is malformed" '.errors.malformed == 2' \
	1 -n 2 --check-body "$http/"
check "a body delimited by close" "$all and .completed == 2" \
	0 -n 2 --check-body "$http/bytes/50000/eof"
check "the server closes when asked" "$all and .connections == 5" \
	0 -n 5 --keepalive "$http/close"
check "an interim response before the final one" "$all" 0 -n 2 "$http/interim"
check "HEAD has no body" "$all and .completed == 3 and .connections == 1" \
	0 -n 3 --keepalive -X HEAD "$http/bytes/1000"
check "another status is a failure" '.errors.status == 3 and .statuses["503"] == 3' \
	1 -n 3 "$http/status/503"
check "unless it is expected" "$all and .backends.b1 == 3" \
	0 -n 3 --expect 503 "$http/status/503"
check "a truncated answer is seen" '.errors.closed == 2' \
	1 -n 2 "$http/bytes/1000/truncate"
check "a reset is seen" '.errors.reset == 2' 1 -n 2 "$http/abort"
check "no answer in time is seen" '.errors.timeout == 2' \
	1 -n 2 --timeout 100 "$http/delay/3000"
check "a refused connection is seen" '.errors.refused == 2' \
	1 -n 2 tcp:127.0.0.1:$((base + 9))
check "the delay is in the latency" \
	"$all and .latency_us.p50 >= 50000 and .latency_us.p50 < 150000" \
	0 -n 3 "$http/delay/50"
check "tcp: greeting, rounds, peer name" \
	"$all and .backends.b1 == 20 and .rx_bytes == 20 * (3 + 3 * 40000)" \
	0 -n 20 -c 4 --rounds 3 --size 40000 --check-peer \
	tcp:127.0.0.1:$((base + 1))
check "tcp over IPv6" "$all and .backends.v6 == 5" \
	0 -n 5 "tcp:[::1]:$((base + 1))"
check "held connections end with the run" \
	"$all and .completed == 200 and .connections == 200" \
	0 -t 0.5 -c 200 --rounds 0 --think 50 tcp:127.0.0.1:$((base + 1))
check "a server without a greeting times out" '.errors.timeout == 1' \
	1 -n 1 --timeout 100 tcp:127.0.0.1:$((base + 3))
check "udp, connected and over IPv6" "$all and .backends.v6 == 20" \
	0 -n 20 "udp:[::1]:$((base + 2))"
check "udp, unconnected, the answer comes from the address asked" \
	"$all and .backends.any == 20" \
	0 -n 20 --unconnected udp:127.0.0.2:$((base + 4))
check "a rate is kept" "$all and .completed > 180 and .completed < 205" \
	0 -t 1 -r 200 -c 8 "$http/"
exit $status
