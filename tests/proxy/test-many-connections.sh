#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ten thousand connections that wait (fewer where ulimit -n is lower; it says how
# many), and what each costs.  timeout: 300
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/clients/lib.sh
. "$here/clients/lib.sh"

limit=$(ulimit -Hn)
ulimit -n "$limit"
many=10000
# Of its descriptors the proxy gives three quarters to clients.
[ "$limit" = unlimited ] || [ $((limit * 3 / 4)) -gt $((many + 1000)) ] ||
	many=$((limit * 3 / 4 - 1000))
open_site
proxy "$dir/site" workers=2 max_connections=$((many + 500)) max_client_connections=0
backend A=http:127.0.1.1:9101

if ! client_is python3 "command -v /usr/bin/python3"; then
	plan
fi
rss() { awk '/^VmRSS/ {print $2}' "/proc/$pid/status"; }
say() { echo "$1" >&5 && IFS= read -r -t 120 answer <&6; }
curl -s -m 20 "$url/bytes/1000000" -o "$dir/got"
mkfifo "$dir/say" "$dir/hear"
/usr/bin/python3 "$here/clients/idle.py" 127.0.0.30 8080 $many <"$dir/say" >"$dir/hear" 2>"$dir/idle.err" 3>&- &
others+=($!)
exec 5>"$dir/say" 6<"$dir/hear"

before=$(rss)
say open
ok "$many connections are open, each with a request behind it" [ "$answer" = $many ]
sleep 1 # what a burst needed has been given back
grown=$(($(rss) - before))
ok "an idle connection costs $((grown * 1024 / many)) bytes (1024)" [ $((grown * 1024 / many)) -le 1024 ]
"$bin/weir-load" --connect 127.0.0.30:8080 -c 16 -n 20000 --keepalive --check-body \
	http://t/bytes/1000 >"$dir/load" 2>&1
ok "others are served beside them" [ $? = 0 ]
say ask
ok "each of them still answers" [ "$answer" = $many ]
say close
ok "they are gone: $answer" settles in_flight 0
exec 5>&- 6>&-
plan
