#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Plans change under traffic: nothing fails, and what is acknowledged is
# followed by the next request, on old connections too.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

gw=127.0.0.30
mkdir "$dir/site"
cp "$here/site/site.yaml" "$dir/site/"

# route WEIGHT-A WEIGHT-B
route() {
	cat >"$dir/site/route.yaml.new" <<-YAML
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: swap, namespace: default}
	spec:
	  parentRefs: [{name: gw, sectionName: http}]
	  hostnames: [swap]
	  rules:
	  - backendRefs:
	    - {name: swap-a, port: 80, weight: $1}
	    - {name: swap-b, port: 80, weight: $2}
	YAML
	mv "$dir/site/route.yaml.new" "$dir/site/route.yaml"
}

port=9110

# On the connection behind descriptor 4: who answers, or the status.
ask() {
	local line length=0 name code
	printf 'GET /x HTTP/1.1\r\nHost: swap\r\n\r\n' >&4
	IFS= read -r line <&4
	code=${line#* }
	while IFS= read -r line <&4 && [ "$line" != $'\r' ]; do
		case $line in Content-Length:*) length=${line//[^0-9]/} ;; esac
	done
	IFS= read -r -N "$length" line <&4
	name=$(sed -n 's/.*"name": *"\([^"]*\)".*/\1/p' <<<"$line")
	echo "${name:-${code%% *}}"
}

site_service swap-a $port 127.0.1.2
site_service swap-b $port 127.0.1.3
route 1 0
backend A=http:127.0.1.2:9110 B=http:127.0.1.3:9110
proxy "$dir/site" workers=2

exec 4<>"/dev/tcp/$gw/8080"
ok "the first rule is followed" [ "$(ask)" = A ]
wrong=0
for _ in $(seq 20); do
	route 0 1 && reload && [ "$(ask)" = B ] || wrong=$((wrong + 1))
	route 1 0 && reload && [ "$(ask)" = A ] || wrong=$((wrong + 1))
done
ok "40 edits: the next request on the same connection follows each" [ $wrong = 0 ]

"$bin/weir-load" --connect "$gw:8080" -c 32 -t 6 --keepalive --check-body \
	"http://swap/bytes/500" >"$dir/load" 2>"$dir/load.err" &
load=$!
for i in $(seq 25); do
	route $((i % 2)) $(((i + 1) % 2)) && reload
	# Endpoints come and go as well.
	if ((i % 2)); then site_service swap-a $port 127.0.1.2; else site_service swap-a $port 127.0.1.2 127.0.1.3; fi
	sleep 0.2
done
wait $load
ok "a flip every 200 ms under keep-alive load: no failure" [ $? = 0 ]
sed 's/^/# /' "$dir/load" | cut -c1-300

route 1 0 && site_service swap-a $port 127.0.1.2 && reload
ask >/dev/null
site_service swap-a $port && reload
ok "no endpoint left: 503" [ "$(ask)" = 503 ]
site_service swap-a $port 127.0.1.2 && reload
ok "an endpoint again: served" [ "$(ask)" = A ]
rm "$dir/site/route.yaml" && reload
ok "the route is deleted: 404 on the same connection" [ "$(ask)" = 404 ]
rm "$dir/site/swap-a.yaml" "$dir/site/swap-b.yaml" && reload
sleep 0.1
ok "pooled connections to endpoints that are gone are closed" \
	[ "$(stat_of pool_idle)" = 0 ]
# More endpoints than the pool begins with.
"$bin/weir-echo" --name many http:0.0.0.0:9111 >"$dir/many" 2>&1 3>&- &
others+=($!)
many=()
for i in $(seq 250); do many+=("127.0.3.$i"); done
port=9111
site_service swap-a $port "${many[@]}"
route 1 0 && reload
"$bin/weir-load" --connect "$gw:8080" -c 16 -n 4000 --keepalive --check-body \
	"http://swap/bytes/100" >"$dir/load" 2>"$dir/load.err"
ok "250 endpoints, each with its connections" [ $? = 0 -a "$(stat_of pool_idle)" -ge 250 ]
site_service swap-a $port "${many[@]:0:3}" && reload
port=9110
for _ in $(seq 40); do
	[ "$(stat_of pool_idle)" -gt 48 ] || break
	sleep 0.05
done
ok "all but three are gone, and their connections with them" [ "$(stat_of pool_idle)" -le 48 ]
# An address that is served no more: the answer is its connection's last.
rm "$dir/site/route.yaml" "$dir/site/swap-a.yaml"
sed -i 's/name: http, port: 8080/name: http, port: 8088/' "$dir/site/site.yaml" && reload
printf 'GET / HTTP/1.1\r\nHost: t\r\n\r\n' >&4
got=$(timeout 5 cat <&4; echo "$?")
ok "the listener is gone: 404 on the same connection, which ends" \
	[ "${got%%$'\r'*} ${got##*$'\n'}" = 'HTTP/1.1 404 Not Found 0' ]
sed -i 's/name: http, port: 8088/name: http, port: 8080/' "$dir/site/site.yaml" && reload
ok "nothing is left in flight" [ "$(stat_of in_flight)" = 0 ]

# A request under way keeps its plan, and drains when the proxy ends.
site_service swap-a $port 127.0.1.2
site_service swap-b $port 127.0.1.3
route 1 0 && reload
curl -s -m 5 -H 'Host: swap' "http://$gw:8080/delay/800" -o "$dir/slow" &
slow=$!
sleep 0.2
rm "$dir/site/route.yaml" && reload
sleep 0.1
exec 3>&-
wait $slow
ok "a request under way outlives its rule and the drain" \
	grep -q '"A"' "$dir/slow"
wait "$driver"
ok "the proxy ends cleanly" [ $? = 0 ]
driver=
plan
