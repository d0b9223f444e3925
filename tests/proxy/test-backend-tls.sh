#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# TLS to backends (BackendTLSPolicy): who they must be, in HTTP/1.1 and HTTP/2.
set -u
# shellcheck source=tests/proxy/h2.sh
. "$(dirname "$0")/h2.sh"
go_program grpc "$(dirname "$0")/grpc" 2>/dev/null
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/clients/lib.sh
. "$here/clients/lib.sh"

certificate good good.example.com alias.example.com URI:spiffe://weir/good
certificate other good.example.com

# policy SERVICE CA VALIDATION: and a route by the Service's name as host.
policy() {
	service "$1" "${4:-9443}" 127.0.1.1 ${5+"$5"}
	cat <<-YAML
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: $1, namespace: default}
	spec:
	  parentRefs: [{name: gw, sectionName: http}]
	  hostnames: [$1.example]
	  rules: [{backendRefs: [{name: $1, port: 80}]}]
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: BackendTLSPolicy
	metadata: {name: $1, namespace: default}
	spec:
	  targetRefs: [{group: "", kind: Service, name: $1}]
	  validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: $2}], $3}
	YAML
}
# bundle NAME: a ConfigMap of that certificate.
bundle() {
	cat <<-YAML
	---
	apiVersion: v1
	kind: ConfigMap
	metadata: {name: $1, namespace: default}
	data:
	  ca.crt: |
	$(sed 's/^/    /' "$dir/certs/$1.crt")
	YAML
}

open_site
{
	policy right good 'hostname: good.example.com'
	policy name good 'hostname: bad.example.com'
	policy ca other 'hostname: good.example.com'
	policy san good 'hostname: sni.example.com, subjectAltNames: [{type: Hostname, hostname: no.example.com}, {type: Hostname, hostname: alias.example.com}]'
	policy uri good 'hostname: sni.example.com, subjectAltNames: [{type: URI, uri: "spiffe://weir/good"}]'
	policy wrong-uri good 'hostname: good.example.com, subjectAltNames: [{type: URI, uri: "spiffe://weir/bad"}]'
	policy clear good 'hostname: good.example.com' 9101
	policy grpc good 'hostname: good.example.com' 9444 kubernetes.io/h2c
	policy grpc-name good 'hostname: bad.example.com' 9444 kubernetes.io/h2c
	bundle good
	bundle other
} >"$dir/site/tls.yaml"
proxy "$dir/site" workers=1 connect_timeout_ms=1000
grep -v '^# BackendNotFound\|^# NoBackend' "$dir/err"
backend A=http:127.0.1.1:9101
openssl s_server -accept 127.0.1.1:9443 -cert "$dir/certs/good.crt" -key "$dir/certs/good.key" \
	-www </dev/null >/dev/null 2>&1 3>&- &
others+=($!)
if [ -x "$programs/weir-test-grpc" ]; then
	"$programs/weir-test-grpc" serve B 127.0.1.1:9444 "$dir/certs/good.crt" "$dir/certs/good.key" \
		>"$dir/grpc" 2>&1 3>&- &
	others+=($!)
fi
listening 127.0.1.1 9443
[ ! -x "$programs/weir-test-grpc" ] || listening 127.0.1.1 9444

# get HOST: the status of a request to it
get() { curl -s -m 10 -o "$dir/got" -w '%{http_code}' -H "Host: $1.example" "$url/"; }
ok "the hostname of the policy" [ "$(get right)" = 200 ]
ok "it was TLS" grep -q 'TLSv1.3' "$dir/got"
ok "another hostname: 503" [ "$(get name)" = 503 ]
ok "another CA: 503" [ "$(get ca)" = 503 ]
ok "one of the alternative names" [ "$(get san)" = 200 ]
ok "an alternative URI" [ "$(get uri)" = 200 ]
ok "another URI, though the hostname is right: 503" [ "$(get wrong-uri)" = 503 ]
ok "a backend without TLS: 503" [ "$(get clear)" = 503 ]
ok "each was counted" [ "$(stat_of TLS_BACKEND)" -ge 3 ]
if [ -x "$programs/weir-test-grpc" ]; then
	numbered "$programs/weir-test-grpc" call 127.0.0.30:8080 -authority grpc.example
	numbered "$programs/weir-test-grpc" call 127.0.0.30:8080 -authority grpc-name.example -code 14
else
	skip gRPC "Go is not installed, or cannot fetch grpc-go"
fi
ok "nothing is left in flight" settles in_flight 0
exec 3>&-
wait "$driver"
ok "and the proxy ends well" [ $? = 0 ]
driver=
exec 3>/dev/null
plan
