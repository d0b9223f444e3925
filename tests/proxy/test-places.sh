#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Addresses that are reached by way of the proxy prefix: a place stays whoever
# comes and goes, and a connection stays with its address whoever has its place.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

# An agent's local route.
if [ -z "${WEIR_OWN_NET:-}" ] || ! ip route add local 198.19.240.0/20 dev lo; then
	echo "1..0 # SKIP needs a network namespace of its own"
	exit 0
fi
mkdir "$dir/site"
port=9110

# address NAME IP BACKEND: a Service with this cluster IP, and its route.
address() {
	cat >"$dir/site/$1.yaml.new" <<-YAML
	apiVersion: v1
	kind: Service
	metadata: {name: $1, namespace: default}
	spec: {clusterIP: $2, ports: [{name: http, port: 80}]}
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: $1, namespace: default}
	spec:
	  parentRefs: [{group: "", kind: Service, name: $1, port: 80}]
	  rules: [{backendRefs: [{name: $3, port: 80}]}]
	YAML
	mv "$dir/site/$1.yaml.new" "$dir/site/$1.yaml"
}

# tell reload|forget: a plan of what is there now.
tell() {
	: >"$dir/out"
	echo "$1" >&3
	await 'acked'
}

# who PLACE: answers a new connection to it.
who() {
	curl -s -m 5 -w '%{http_code}' "http://198.19.240.$1/x" |
		sed -n 's/.*"name": *"\([^"]*\)".*/\1/p; s/^.*}\([0-9]*\)$/\1/p' | head -1
}

site_service back-a $port 127.0.1.2
site_service back-b $port 127.0.1.3
address high 127.0.9.9 back-a
backend A=http:127.0.1.2:9110 B=http:127.0.1.3:9110
proxy "$dir/site" workers=2 places=2 access_log="$dir/log"

ok "an address has the first place" [ "$(who 1)" = A ]
address low 127.0.9.1 back-b && tell reload
ok "one before it comes: it keeps its place" [ "$(who 1)" = A ]
ok "which has the next" [ "$(who 2)" = B ]
rm "$dir/site/low.yaml" && tell reload
ok "and goes: it keeps its place" [ "$(who 1)" = A ]
tell forget

# Two connections, each between its first request and its second.
for version in http1 http2; do
	mkfifo "$dir/go.$version"
	python3 "$here/clients/two_requests.py" 198.19.240.1 80 $version \
		<"$dir/go.$version" >"$dir/$version" 2>&1 3>&- &
	others+=($!)
done
exec 5>"$dir/go.http1" 6>"$dir/go.http2"
for version in http1 http2; do
	await . "$dir/$version"
	ok "$version: a connection to the address" [ "$(cat "$dir/$version")" = A ]
done
# As by an agent that lost all it knew: the place is another's.
address low 127.0.9.1 back-b && tell forget
ok "its place is another's" [ "$(who 1)" = B ]
echo >&5
echo >&6
for pid_of in "${others[@]: -2}"; do wait "$pid_of"; done
for version in http1 http2; do
	ok "$version: the connection stays with the address" \
		[ "$(tr '\n' ' ' <"$dir/$version")" = "A A " ]
done
# Its writer comes some time after the answer.
is_logged() {
	for _ in $(seq 250); do
		[ "$(grep -c '"listener":"127.0.9.9:80".*"path":"/second"' "$dir/log")" = 2 ] && return
		sleep 0.02
	done
	return 1
}
ok "the access log says the address" is_logged
ok "nothing is left in flight" [ "$(stat_of in_flight)" = 0 ]
plan
