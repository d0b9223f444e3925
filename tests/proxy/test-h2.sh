#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# HTTP/2 from clients in clear, by prior knowledge: curl and h2load, the same
# requests in both versions, h2spec, and what no client should send.
set -u
# Before lib.sh: what is fetched comes from outside of its network namespace.
# shellcheck source=tests/proxy/h2.sh
. "$(dirname "$0")/h2.sh"
go_program h2spec github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible 2>/dev/null
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/clients/lib.sh
. "$here/clients/lib.sh"

open_site
proxy "$dir/site" workers=2 drain_ms=5000 stall_timeout_ms=4000
backend A=http:127.0.1.1:9101
h1=(curl -s -m 20 --http1.1)
h2=(curl -s -m 20 --http2-prior-knowledge)
head -c 3000000 /dev/urandom >"$dir/up"

ok "curl: HTTP/2" [ "$("${h2[@]}" -o "$dir/got" -w '%{http_code} %{http_version} %{size_download}' "$url/bytes/5000")" = "200 2 5000" ]
ok "curl: a long body" [ "$("${h2[@]}" -o "$dir/got" -w '%{http_code} %{size_download}' "$url/bytes/50000000")" = "200 50000000" ]
ok "curl: its bytes" cmp -s "$dir/got" <(yes abcdefghijklmnopqrstuvwxyz | tr -d '\n' | head -c 50000000)
if client_is nghttp "command -v nghttp"; then
	# (curl 7.88 fails where it must wait for a connection that can multiplex.)
	mapfile -t urls < <(for i in $(seq 50); do echo "$url/bytes/$((100000 + i))"; done)
	nghttp -ns "${urls[@]}" | awk '$5 == 200 && $6 == "97K"' >"$dir/many"
	ok "nghttp: 50 at a time on a connection" [ "$(wc -l <"$dir/many")" = 50 ]
fi
ok "curl: a response cut short is an error" [ "$("${h2[@]}" "$url/bytes/100000/truncate" -o /dev/null; echo $?)" != 0 ]
ok "curl: an upload" [ "$("${h2[@]}" -T "$dir/up" "$url/up" | grep -o '"body_bytes":3000000,"body_is_chunked":false')" ]
ok "curl: from a pipe" [ "$("${h2[@]}" -T - "$url/up" <"$dir/up" | grep -o '"body_bytes":3000000,"body_is_chunked":true')" ]

# Routing, filters, answers of our own and bodies do not depend on the version.
same() { # ARGUMENTS of curl
	local v
	for v in h1 h2; do
		local -n curl=$v
		"${curl[@]}" -o "$dir/body.$v" -D "$dir/head.$v" "$@"
		# Case, the connection's own fields and the time do differ, and so
		# does what the backend says about its connection.
		tr -d '\r' <"$dir/head.$v" | sed '1s/^HTTP[^ ]* \([0-9]*\).*/\1/' |
			tr '[:upper:]' '[:lower:]' |
			grep -v '^date:\|^connection:\|^keep-alive:\|^transfer-encoding:\|^$' | sort >"$dir/h.$v"
		sed 's/"peer":.*//; s/"head":"[^"]*",//' "$dir/body.$v" | tr '[:upper:]' '[:lower:]' >"$dir/b.$v"
		# What the backend saw has another length, and with -I curl
		# writes the head twice.
		! grep -q '"peer"' "$dir/body.$v" || sed -i /^content-length:/d "$dir/h.$v"
		[ "$1" != -I ] || : >"$dir/b.$v"
	done
	cmp "$dir/h.h1" "$dir/h.h2" >&2 && cmp "$dir/b.h1" "$dir/b.h2" >&2
}
ok "same: a body" same "$url/bytes/70000"
ok "same: a body in chunks" same "$url/bytes/70000/chunked"
ok "same: HEAD" same -I "$url/bytes/70000"
ok "same: what the backend saw" same "$url/echo?a=b&c" -H 'X-A: 1' -H 'X-B: 2'
ok "same: cookies" same "$url/echo" -H 'Cookie: a=b; c=d'
head -c 100000 "$dir/up" | base64 >"$dir/text"
for hops in 0 1 17 x; do
	ok "same: OPTIONS with Max-Forwards $hops" same -X OPTIONS -H "Max-Forwards: $hops" "$url/echo"
done
ok "same: POST" same "$url/echo" --data-binary "@$dir/text"
ok "same: header filters" same -H 'Host: headers' -H 'X-Remove: x' "$url/echo"
for path in plain https port full/x old/x; do
	ok "same: redirect $path" same -H 'Host: redirects' "$url/$path"
done
for path in host full/x foo/x strip/x; do
	ok "same: rewrite $path" same -H 'Host: rewrites' "$url/$path"
done
for path in invalid empty dead none nothing; do
	ok "same: error $path" same -H 'Host: errors' "$url/$path"
done
ok "same: no route" same -H 'Host: errors.example' "$url/"
ok "same: 204 and 304" same "$url/status/204"
ok "same: 304" same "$url/status/304"
ok "same: a timeout" same -H 'Host: timeouts' "$url/request/delay/2000"

if client_is h2load "command -v h2load"; then
	loaded=$(h2load -n 20000 -c 8 -m 32 "$url/bytes/1000" 2>&1)
	ok "h2load: 20000 requests, none failed" grep -q '20000 succeeded, 0 failed, 0 errored' <<<"$loaded"
	before=$(stat_of allocations)
	h2load -n 20000 -c 8 -m 32 "$url/bytes/1000" >/dev/null 2>&1
	echo "# allocations: $(($(stat_of allocations) - before)) for 20000 requests"
fi

if python3 -c 'import socket' 2>/dev/null; then
	numbered python3 "$here/clients/h2_hostile.py" 127.0.0.30 8080 stall
	ok "floods were counted" [ "$(($(stat_of H2_FLOOD) + $(stat_of H2_RESETS)))" -ge 7 ]
else
	skip "by hand" "Python is not installed"
fi

# Two known exceptions: this listener speaks HTTP/1.1, too (3.5/2), and nghttp2
# ignores a stream whose number is below one that came before (5.1.1/2).
if [ -x "$programs/weir-test-h2spec" ]; then
	"$programs/weir-test-h2spec" -h 127.0.0.30 -p 8080 -o 3 >"$dir/spec" 2>&1
	sed -n '/^Failures/,$p' "$dir/spec" | grep '×' | sed 's/^ */# /'
	ok "h2spec: no more than the two known exceptions" \
		[ "$(sed -n 's/.* \([0-9]*\) failed$/\1/p' "$dir/spec")" -le 2 ]
	ok "h2spec: all of it" grep -q '^14[0-9] tests' "$dir/spec"
else
	skip "h2spec" "Go is not installed, or cannot fetch it"
fi
ok "nothing is left in flight" settles in_flight 0

# GOAWAY: what is under way ends well, the connection then closes.
"${h2[@]}" -o "$dir/got" -w '%{http_code} %{size_download}' "$url/delay/1000" >"$dir/last" &
last=$!
sleep 0.3
exec 3>&-
wait $last
ok "a request under way when the proxy ends" grep -q '^200' "$dir/last"
wait "$driver"
ok "and the proxy ends well" [ $? = 0 ]
driver=
exec 3>/dev/null
plan
