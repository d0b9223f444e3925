#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Memory: none is allocated for a request once things are warm, and an idle
# connection costs little.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

gw=127.0.0.30
proxy "$here/site" workers=2 idle_timeout_ms=60000
backend A=http:127.0.1.1:9101

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
# Warm: more of everything at once than later.
"$bin/weir-load" --connect "$gw:8080" -c 64 -n 3000 http://t/bytes/100 >/dev/null 2>&1
ok "the counter counts" [ "$(stat_of allocations)" -gt 5 ]
n_keep=$(during --keepalive http://t/bytes/100)
ok "keep-alive allocates nothing ($n_keep)" [ "$n_keep" = 0 ]
n_chunked=$(during --keepalive http://t/bytes/70000/chunked)
ok "long chunked responses allocate nothing ($n_chunked)" [ "$n_chunked" = 0 ]
n_post=$(during --keepalive -X POST --chunked --size 20000 http://t/)
ok "uploads allocate nothing ($n_post)" [ "$n_post" = 0 ]
n_close=$(during http://t/bytes/100)
ok "a connection for each request allocates nothing ($n_close)" [ "$n_close" = 0 ]
n_answer=$(during --keepalive --expect 404 http://nobody/)
ok "our own answers allocate nothing ($n_answer)" [ "$n_answer" = 0 ]

# Idle keep-alive connections: what the process grows by.
anonymous() { awk '/^Anonymous/ {n += $2} END {print n}' "/proc/$1/smaps_rollup"; }
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
