#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The access log, read by a JSON parser that others wrote: what a line says, that
# hostile bytes stay inside their strings, that nothing is lost in a rotation,
# and that a log nobody reads holds nobody up.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

gw=127.0.0.30
log=$dir/access.json
needs_python
proxy "$here/site" workers=2 head_timeout_ms=500 access_log="$log"
backend A=http:127.0.1.1:9101

# lines N: until so many are in the log.
lines() {
	for _ in $(seq 200); do
		[ "$(wc -l <"$log")" -ge "$1" ] && return 0
		sleep 0.02
	done
	return 1
}
# last EXPRESSION: a Python expression about the last line, l; it must be true.
last() {
	tail -1 "$log" | python3 -c 'import json, sys
l = json.loads(sys.stdin.read(), object_pairs_hook=lambda p: dict(p) if len(dict(p)) == len(p) else 1/0)
if not eval(sys.argv[1]):
    print("# " + json.dumps(l)); sys.exit(1)' "$1"
}
count=0
# logged TEXT EXPRESSION: there is one line more, and it says so.
logged() {
	count=$((count + 1))
	lines $count
	ok "$1" last "$2"
}
# raw BYTES...: printf's bytes to the proxy, and what it answers.
# shellcheck disable=SC2059 # the bytes are a format
raw() { printf "$@" | socat -t 2 - "TCP:$gw:8080" >"$dir/answer" 2>/dev/null; }

IFS=: read -r size port < <(curl -s -o "$dir/got" -w '%{size_header}:%{local_port}' -H 'Host: t' "http://$gw:8080/bytes/70000?a=1&b=%22")
logged "a request: who asked for what" "l['client'] == '127.0.0.1:$port' and l['listener'] == '$gw:8080' and l['protocol'] == 'HTTP/1.1' and l['method'] == 'GET' and l['host'] == 't' and l['path'] == '/bytes/70000' and l['query'] == 'a=1&b=%22'"
ok "what decided, and who answered" last "l['route'] == 'HTTPRoute default/plain' and l['rule'] == 0 and l['backend'] == 'Service default/one' and l['backend_index'] == 0 and l['endpoint'] == '127.0.1.1:9101' and l['plane'] == 'proxy' and l['attempts'] == 1 and 'reason' not in l"
ok "all bytes to the client" last "l['status'] == 200 and l['bytes_out'] == $size + 70000"
ok "times in their order" last "0 <= l['connect_us'] <= l['first_byte_us'] <= l['total_us'] < 5000000"
ok "the time of day" last "abs(__import__('time').time() - __import__('datetime').datetime.strptime(l['time'], '%Y-%m-%dT%H:%M:%S.%f%z').timestamp()) < 60"

curl -s -H 'Host: t' "http://$gw:8080/" "http://$gw:8080/" >"$dir/got"
count=$((count + 1))
logged "a pooled connection has no connect time" "'connect_us' not in l and l['first_byte_us'] >= 0"
head -c 100000 /dev/zero >"$dir/body"
curl -s -o "$dir/got" -H 'Host: t' -H 'Expect:' -H 'Transfer-Encoding: chunked' --data-binary "@$dir/body" "http://$gw:8080/"
logged "a chunked upload: all bytes that came" "l['method'] == 'POST' and 100000 < l['bytes_in'] < 101500"
curl -s -o "$dir/got" -H 'Host: nobody' "http://$gw:8080/"
logged "no route: no rule, but a reason" "l['status'] == 404 and l['reason'] == 'no_route' and l['detail'] and 'route' not in l and 'endpoint' not in l"
curl -s -o "$dir/got" -H 'Host: errors' "http://$gw:8080/empty"
logged "no endpoint: rule and backend" "l['status'] == 503 and l['reason'] == 'no_endpoint' and l['route'] == 'HTTPRoute default/errors' and l['rule'] == 1 and l['backend'] == 'Service default/empty'"
curl -s -o "$dir/got" -H 'Host: redirects' "http://$gw:8080/plain"
logged "a redirect: a rule and no reason" "l['status'] == 302 and l['route'] == 'HTTPRoute default/redirects' and 'backend' not in l and 'reason' not in l"
curl -s -o "$dir/got" -H 'Host: errors' "http://$gw:8080/dead"
logged "a dead endpoint" "l['status'] == 503 and l['reason'] == 'connect_failed' and l['endpoint']"
raw 'GET /"<\x27 HTTP/1.0\r\nHost: t\r\n\r\n'
logged "quotes in a path" "l['path'] == '/\"<\\'' and l['protocol'] == 'HTTP/1.0'"
raw 'GE"T\x00\\\x1b\xff\xc3\x28 / HTTP/1.1\r\nHost: t\r\n\r\n'
logged "bytes that are no request, as they came" "l['status'] == 400 and l['reason'] == 'bad_request' and l['raw'].encode('latin-1') == b'GE\"T\\0\\\\\\x1b\\xff\\xc3( / HTTP/1.1' and 'method' not in l and l['bytes_in'] == 34"
ok "pure ASCII in the file" bash -c "! LC_ALL=C grep -qP '[^\\x20-\\x7e]' '$log'"
raw 'GET /%s?%s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n' "$(printf '"%.0s' $(seq 3000))" "$(printf '"%.0s' $(seq 3000))"
logged "what is long is cut, and said to be" "l['cut'] is True and 500 <= len(l['path']) < 1024 and l['status'] == 200"
raw 'GET /%s HTTP/1.1\r\nHost: t\r\n\r\n' "$(head -c 9000 /dev/zero | tr '\0' a)"
logged "over a limit" "l['status'] == 414 and l['reason'] == 'uri_too_long' and l['cut'] is True and 8192 < l['bytes_in'] <= 9027"
(printf 'GET / HT'; sleep 1.5) | socat -t 2 - "TCP:$gw:8080" >/dev/null 2>&1
logged "not complete in time" "l['status'] == 408 and l['reason'] == 'head_timeout' and l['raw'] == 'GET / HT' and l['bytes_in'] == 8"
raw 'GET / HTTP/1.1\nHost: t\n\n'
logged "refused at its first line" "l['status'] == 400 and l['raw'] == 'GET / HTTP/1.1' and l['bytes_in'] == 24"
raw 'GET /a HTTP/1.1\r\nHost: t\r\n\r\nGET /../x HTTP/1.1\r\nHost: t\r\n\r\nmore'
count=$((count + 1))
logged "the head that was refused, of what came" "l['status'] == 400 and l['raw'] == 'GET /../x HTTP/1.1' and l['bytes_in'] == 31"
echo hello | socat -t 1 - "TCP:$gw:8081" >"$dir/answer" 2>/dev/null
logged "a raw connection" "l['protocol'] == 'TCP' and l['bytes_in'] == 6 and l['route'] == 'TCPRoute default/tcp' and l['endpoint'] == '127.0.1.1:9101' and 'method' not in l and 'status' not in l"
printf 'GET /a HTTP/1.1\r\nHost: t\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n' | socat -t 2 - "TCP:$gw:8080" >"$dir/answer" 2>/dev/null
count=$((count + 1))
logged "pipelined requests have a line each, with their own bytes" "l['path'] == '/b' and l['bytes_in'] == 47"
ok "and the first" [ "$(tail -2 "$log" | head -1 | python3 -c 'import json, sys; l = json.loads(sys.stdin.read()); print(l["path"], l["bytes_in"])')" = "/a 28" ]

"$bin/weir-load" --connect "$gw:8080" -c 64 -n 5000 http://t/ >"$dir/load" 2>&1
count=$((count + 5000))
ok "a line for each connection's request" lines $count

# One line for each request, whole, also over a rotation in the middle.
before=$(stat_of requests)
"$bin/weir-load" --connect "$gw:8080" -c 16 -t 3 --keepalive http://t/ >"$dir/load" 2>&1 &
sleep 1
mv "$log" "$log.1"
: >"$dir/out"
echo reopen >&3
await reopened
wait $!
served=$(($(stat_of requests) - before))
for _ in $(seq 100); do
	[ "$(cat "$log.1" "$log" | wc -l)" -ge $((served + count)) ] && break
	sleep 0.05
done
ok "after a rotation both files have some" [ -s "$log" ]
written=$(cat "$log.1" "$log" | python3 -c 'import json, sys
print(sum(1 for line in sys.stdin if "time" in json.loads(line)))')
ok "a line for each of $served requests ($written, $count before)" [ "$((written - count + $(stat_of log_lost)))" = "$served" ]
before=$(stat_of allocations)
"$bin/weir-load" --connect "$gw:8080" -c 16 -t 1 --keepalive http://t/ >"$dir/load" 2>&1
ok "logging allocates nothing" [ $(($(stat_of allocations) - before)) = 0 ]

# A reader that does not read: lines are lost and counted, requests are not.
for _ in $(seq 100); do
	[ "$(cat "$log.1" "$log" | wc -l)" = "$(stat_of log_lines)" ] && break
	sleep 0.05
done
ok "what was given is in the files" [ "$(cat "$log.1" "$log" | wc -l)" = "$(stat_of log_lines)" ]
mkfifo "$dir/fifo"
exec 7<>"$dir/fifo"
mv "$log" "$log.2"
ln -s fifo "$log"
: >"$dir/out"
echo reopen >&3
await reopened
lost=$(stat_of log_lost)
"$bin/weir-load" --connect "$gw:8080" -c 16 -n 10000 --keepalive http://t/ >"$dir/load" 2>&1
ok "a log that nobody reads holds nobody up" [ $? = 0 ]
lost=$(($(stat_of log_lost) - lost))
ok "what found no room was counted ($lost)" [ "$lost" -gt 1000 ]
timeout 3 cat <&7 >"$dir/read"
exec 7>&-
got=$(python3 -c 'import json, sys
print(sum(1 for line in open(sys.argv[1]) if json.loads(line)["path"] == "/"))' "$dir/read")
ok "the others came whole: $got + $lost" [ $((got + lost)) = 10000 ]
code=$(curl -s -m 5 -H 'Host: t' -o /dev/null -w '%{http_code}' "http://$gw:8080/")
ok "the proxy lives without its reader" [ "$code" = 200 ]
plan
