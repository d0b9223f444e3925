#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gRPC through the proxy, by grpc-go: unary, streams, status, metadata and
# trailers over h2c on both sides; answers of weir's own.
set -u
# Before lib.sh: what is fetched comes from outside of its network namespace.
# shellcheck source=tests/proxy/h2.sh
. "$(dirname "$0")/h2.sh"
go_program grpc "$(dirname "$0")/grpc" 2>/dev/null
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/clients/lib.sh
. "$here/clients/lib.sh"

if [ ! -x "$programs/weir-test-grpc" ]; then
	echo "1..0 # SKIP Go is not installed, or cannot fetch grpc-go"
	exit 0
fi
grpc=$programs/weir-test-grpc
open_site
{
	cat <<-YAML
	apiVersion: gateway.networking.k8s.io/v1
	kind: GRPCRoute
	metadata: {name: grpc, namespace: default}
	spec:
	  parentRefs: [{name: gw, sectionName: http}]
	  hostnames: [grpc]
	  rules:
	  - matches: [{method: {service: weir.Test}}]
	    backendRefs: [{name: grpc, port: 80}]
	  - matches: [{method: {service: weir.Invalid}}]
	    backendRefs: [{name: missing, port: 80}]
	  - matches: [{method: {service: weir.Dead}}]
	    backendRefs: [{name: dead-grpc, port: 80}]
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: h2c, namespace: default}
	spec:
	  parentRefs: [{name: gw, sectionName: http}]
	  hostnames: [h2c]
	  rules: [{backendRefs: [{name: grpc, port: 80}]}]
	YAML
	service grpc 9111 127.0.1.1 kubernetes.io/h2c
	service dead-grpc 9119 127.0.1.9 kubernetes.io/h2c
} >"$dir/site/grpc.yaml"
proxy "$dir/site" workers=1
"$grpc" serve B 127.0.1.1:9111 >"$dir/grpc" 2>&1 3>&- &
server=$!
others+=("$server")
for _ in $(seq 100); do
	grep -q ready "$dir/grpc" && break
	sleep 0.02
done

numbered "$grpc" call 127.0.0.30:8080 -authority grpc
ok "few connections to the backend carried all of it" [ "$(stat_of upstreams)" -le 3 ]
numbered "$grpc" call 127.0.0.30:8080 -authority grpc -method Nothing -code 12
numbered "$grpc" call 127.0.0.30:8080 -authority grpc -service weir.Other -code 12
numbered "$grpc" call 127.0.0.30:8080 -authority grpc -service weir.Invalid -code 14
numbered "$grpc" call 127.0.0.30:8080 -authority grpc -service weir.Dead -code 14

# Not only gRPC is spoken to such a backend, and not only in HTTP/2.
for v in --http1.1 --http2-prior-knowledge; do
	ok "curl $v: an HTTP answer of an HTTP/2 backend" [ "$(curl -s -m 10 $v -H 'Host: h2c' -o /dev/null -w '%{http_code}' "$url/")" = 415 ]
done
head=$(curl -s -m 10 --http2-prior-knowledge -D - -H 'Host: grpc' -H 'Content-Type: application/grpc' -H 'TE: trailers' --data-binary '' "$url/weir.Other/Unary" | tr -d '\r')
ok "an answer of ours is a head with the status and nothing behind it" \
	[ "$(grep -c '^HTTP/2 200\|^grpc-status: 12$\|^content-type: application/grpc$' <<<"$head")$(grep -c '^content-length' <<<"$head")" = 30 ]
code() { curl -s -m 10 "$@" -o /dev/null -w '%{http_code}' "$url/weir.Other/Unary"; }
ok "and is HTTP's for who speaks HTTP/1.1" [ "$(code -H 'Host: grpc' -H 'Content-Type: application/grpc')" = 404 ]
# The host is GRPCRoutes' alone; an HTTPRoute takes all paths of all hosts.
ok "what is no call goes where it would go without GRPCRoutes" [ "$(code -H 'Host: grpc')$(code -H 'Host: nobody')" = 503503 ]

# A backend that goes and comes back.
kill "$server"
wait "$server" 2>/dev/null
numbered "$grpc" call 127.0.0.30:8080 -authority grpc -code 14
"$grpc" serve C 127.0.1.1:9111 >"$dir/grpc" 2>&1 3>&- &
others+=($!)
for _ in $(seq 100); do
	grep -q ready "$dir/grpc" && break
	sleep 0.02
done
numbered "$grpc" call 127.0.0.30:8080 -authority grpc -code 0
ok "nothing is left in flight" settles in_flight 0
exec 3>&-
wait "$driver"
ok "and the proxy ends well" [ $? = 0 ]
driver=
exec 3>/dev/null
plan
