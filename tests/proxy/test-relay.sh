#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Real clients through the proxy: curl up and down, TCP, UDP, many at once.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

gw=127.0.0.30
proxy "$here/site" workers=2 udp_idle_ms=1000
backend A=http:127.0.1.1:9101 U=udp:127.0.1.1:9153
curl_t() { curl -s -m 20 -H 'Host: t' "$@"; }
same() { [ "$(cksum <"$1")" = "$(cksum <"$2")" ]; }

yes abcdefghijklmnopqrstuvwxyz | tr -d '\n' | head -c 50000000 >"$dir/big"
whole() { grep -q '"body_bytes":50000000,"body_is_chunked":'"$1"',"body_is_pattern":true' "$dir/back"; }
curl_t -H 'Expect:' --data-binary "@$dir/big" "http://$gw:8080/" -o "$dir/back"
ok "50 MB up, with a length" whole false
curl_t -H 'Transfer-Encoding: chunked' --data-binary "@$dir/big" \
	"http://$gw:8080/" -o "$dir/back"
ok "50 MB up, in chunks" whole true
curl_t "http://$gw:8080/bytes/30000000" -o "$dir/plain"
curl_t "http://$gw:8080/bytes/30000000/chunked" -o "$dir/chunked"
curl_t "http://$gw:8080/bytes/30000000/eof" -o "$dir/eof"
curl_t -0 "http://$gw:8080/bytes/30000000/chunked" -o "$dir/http10"
ok "30 MB down, chunked" same "$dir/plain" "$dir/chunked"
ok "30 MB down, until the end of the connection" same "$dir/plain" "$dir/eof"
ok "30 MB down, chunked to an HTTP/1.0 client" same "$dir/plain" "$dir/http10"
ok "the pattern is all there" [ "$(wc -c <"$dir/plain")" = 30000000 ]
ok "Expect: 100-continue from curl" [ "$(curl_t -H 'Expect: 100-continue' -d x \
	-o /dev/null -w '%{http_code}' "http://$gw:8080/")" = 200 ]

load() { "$bin/weir-load" "$@" >"$dir/load" 2>&1 || { sed 's/^/# /' "$dir/load"; false; }; }
ok "keep-alive, 50 at a time, every body checked" load --connect "$gw:8080" \
	-c 50 -n 20000 --keepalive --check-body "http://t/bytes/1000"
ok "chunked, 50 at a time" load --connect "$gw:8080" -c 50 -n 5000 --keepalive \
	--check-body "http://t/bytes/70000/chunked"
ok "a connection for each request" load --connect "$gw:8080" -c 20 -n 3000 \
	--check-body "http://t/bytes/100"
ok "uploads in chunks" load --connect "$gw:8080" -c 20 -n 2000 --keepalive \
	-X POST --chunked --size 20000 "http://t/"
ok "UDP, connected" load -c 20 -n 2000 "udp:$gw:8083"
ok "UDP, unconnected, reused" load -c 4 -n 2000 --unconnected --reuse "udp:$gw:8083"
ok "UDP associations are there" [ "$(stat_of associations)" -gt 0 ]

memory() { awk '/^Rss/ {n += $2} END {print n}' "/proc/$1/smaps_rollup"; }
# A client that does not read: the proxy must not hold the body for it.
exec 4<>"/dev/tcp/$gw/8080"
before=$(memory "$pid")
printf 'GET /bytes/100000000 HTTP/1.1\r\nHost: t\r\n\r\n' >&4
sleep 0.7
grown=$(($(memory "$pid") - before))
ok "a client that does not read costs little ($grown KiB on $before)" \
	[ "$before" -gt 0 -a "$grown" -lt 1024 ]
exec 4>&-
sleep 1.3
ok "UDP associations end with idleness" [ "$(stat_of associations)" = 0 ]
ok "nothing is left in flight" [ "$(stat_of in_flight)" = 0 ]
plan
