#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Clients that others wrote, through the proxy: curl, wget, Python's requests,
# httpx and websockets, Node's fetch, its WebSocket and ws.  (Go's is in
# tests/long: it is compiled.)
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/clients/lib.sh
. "$here/clients/lib.sh"

open_site
proxy "$dir/site" workers=2
backend A=http:127.0.1.1:9101

get() { curl -s -m 20 -o "$dir/got" -w '%{http_code} %{num_connects}' "$@"; }
is_pattern() { [ "$(head -c "$2" < <(yes abcdefghijklmnopqrstuvwxyz | tr -d '\n') | cksum)" = "$(cksum <"$1")" ]; }
[ "$(get "$url/bytes/5000" "$url/bytes/5000" -o "$dir/got")" = "200 1200 0" ]
ok "curl: two requests, one connection" [ $? = 0 ]
ok "curl: a body" is_pattern "$dir/got" 5000
ok "curl: HEAD" [ "$(get -I "$url/bytes/5000")" = "200 1" ]
ok "curl: --http1.0" [ "$(get --http1.0 "$url/bytes/5000/chunked")" = "200 1" ]
ok "curl: its body" is_pattern "$dir/got" 5000
ok "curl: upload from a pipe" [ "$(head -c 200000 /dev/zero | get -T - "$url/up")" = "200 1" ]
ok "curl: all of it arrived" grep -q '"body_bytes":200000,"body_is_chunked":true' "$dir/got"
ok "curl: dots in a path that it is told to keep are refused" \
	[ "$(get --path-as-is "$url/a/../b")" = "400 1" ]
get "$url/bytes/100000/truncate" >/dev/null
ok "curl: a response cut short is an error" [ $? != 0 ]

if client_is wget "command -v wget"; then
	wget -q -t 1 -T 20 -O "$dir/got" "$url/bytes/3000000/chunked"
	ok "wget: 3 MB in chunks" is_pattern "$dir/got" 3000000
	wget -q -t 1 -T 20 -O "$dir/got" --post-data=hello "$url/echo"
	ok "wget: --post-data" [ "$(cat "$dir/got")" = hello ]
	ok "wget: --spider" wget -q -t 1 -T 20 --spider "$url/bytes/5000"
	wget -q -t 1 -T 20 -O "$dir/got" "$url/status/404"
	ok "wget: 404 is an error" [ $? = 8 ]
fi

python=/usr/bin/python3 # Debian's modules are for Debian's
for module in requests httpx; do
	if client_is $module "$python -c 'import $module'"; then
		client $module "$python" "$here/clients/requests_client.py" $module "$url"
	fi
done
if client_is websockets "$python -c 'import websockets'"; then
	websocket_server
	client websockets "$python" "$here/clients/websocket.py" client "$ws"
fi
if client_is node "command -v node"; then
	flag=--experimental-websocket
	{ [ -n "${wspid:-}" ] && node $flag -e 0 2>/dev/null; } || flag=
	NODE_OPTIONS="--no-warnings $flag" client fetch node "$here/clients/fetch.mjs" "$url" "$ws"
fi

ok "nothing is left in flight" settles in_flight 0
plan
