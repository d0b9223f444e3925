#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Memory: none is allocated for a request once things are warm, over epoll and
# over io_uring, what a burst took is given back, and an idle connection costs
# little.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

gw=127.0.0.30
backend A=http:127.0.1.1:9101

# over epoll|uring: a proxy that does its I/O so.
over() {
	if [ -n "$driver" ]; then
		exec 3>&-
		wait "$driver"
		rm "$dir/in" "$dir/out"
	fi
	export WEIR_TEST_IO=$1
	proxy "$here/site" workers=2 idle_timeout_ms=60000
}

# during LOAD-OPTIONS...: allocations while it runs, from its second second on.
during() {
	local before after
	"$bin/weir-load" --connect "$gw:8080" -c 16 -t 3 "$@" >"$dir/load" 2>&1 &
	sleep 1
	before=$(stat_of allocations)
	sleep 1.5
	after=$(stat_of allocations)
	wait $! || sed 's/^/# /' "$dir/load"
	echo $((after - before))
}

# nothing IO: that no kind of request allocates.
nothing() {
	local of
	# Warm: more of everything at once than later.
	"$bin/weir-load" --connect "$gw:8080" -c 64 -n 3000 http://t/bytes/100 >/dev/null 2>&1
	ok "$1: the counter counts" [ "$(stat_of allocations)" -gt 5 ]
	of=$(during --keepalive http://t/bytes/100)
	ok "$1: keep-alive allocates nothing ($of)" [ "$of" = 0 ]
	of=$(during --keepalive http://t/bytes/70000/chunked)
	ok "$1: long chunked responses allocate nothing ($of)" [ "$of" = 0 ]
	of=$(during --keepalive -X POST --chunked --size 20000 http://t/)
	ok "$1: uploads allocate nothing ($of)" [ "$of" = 0 ]
	of=$(during http://t/bytes/100)
	ok "$1: a connection for each request allocates nothing ($of)" [ "$of" = 0 ]
	of=$(during --keepalive --expect 404 http://nobody/)
	ok "$1: our own answers allocate nothing ($of)" [ "$of" = 0 ]
}

anonymous() { awk '/^Anonymous/ {n += $2} END {print n}' "/proc/$1/smaps_rollup"; }
rests() {
	for _ in $(seq 100); do
		now=$(anonymous "$pid")
		((now < high - 400)) && return 0
		sleep 0.1
	done
	return 1
}
# The kernel fills buffers in turn, a page each of 64 for each worker at least;
# at rest their pages go back, and what comes next is right.
gives_back() {
	local high now=0
	"$bin/weir-load" --connect "$gw:8080" -c 64 -t 2 --keepalive http://t/bytes/100 >"$dir/load" 2>&1 &
	sleep 1
	high=$(anonymous "$pid")
	wait $! || sed 's/^/# /' "$dir/load"
	ok "uring: buffers are given back at rest" rests
	echo "# $high KiB under load, $now at rest"
	ok "uring: and used again" [ "$("$bin/weir-load" --connect "$gw:8080" -c 64 -n 5000 --keepalive http://t/bytes/100 |
		jq -r '"\(.statuses["200"]) \(.errors | length)"')" = "5000 0" ]
}

over uring
if grep -q 'io_uring: .* uses epoll' "$dir/err"; then
	n=$((n + 1))
	echo "ok $n - io_uring # SKIP $(grep -o 'io_uring: .*' "$dir/err" | head -n 1)"
else
	nothing uring
	gives_back
fi
over epoll
nothing epoll

# Idle keep-alive connections: what the process grows by.
prlimit --pid $$ --nofile=4096:
prlimit --pid "$pid" --nofile=4096:
before=$(anonymous "$pid")
for _ in $(seq 2000); do
	exec {fd}<>"/dev/tcp/$gw/8080"
	printf 'GET /x HTTP/1.1\r\nHost: nobody\r\n\r\n' >&"$fd"
done
sleep 0.5
grown=$((($(anonymous "$pid") - before) * 1024 / 2000))
ok "an idle connection costs at most 1 KiB ($grown bytes)" [ "$grown" -le 1024 ]
plan
