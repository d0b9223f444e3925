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

certificate good good.example.com alias.example.com URI:spiffe://weir/good '*.wild.example.com' 'par*.example.com'
certificate other good.example.com
certificate bare.example.com URI:spiffe://weir/bare
certificate mine mine.example.com
certificate next next.example.com

# policy SERVICE CA VALIDATION: and a route by the Service's name as host.  CA:
# a bundle, or System.
policy() {
	local cas="caCertificateRefs: [{group: \"\", kind: ConfigMap, name: $2}]"
	[ "$2" != System ] || cas='wellKnownCACertificates: System'
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
	  validation: {$cas, $3}
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
	policy system System 'hostname: good.example.com'
	policy system-name System 'hostname: bad.example.com'
	policy san good 'hostname: sni.example.com, subjectAltNames: [{type: Hostname, hostname: no.example.com}, {type: Hostname, hostname: alias.example.com}]'
	policy uri good 'hostname: sni.example.com, subjectAltNames: [{type: URI, uri: "spiffe://weir/good"}]'
	policy wrong-uri good 'hostname: good.example.com, subjectAltNames: [{type: URI, uri: "spiffe://weir/bad"}]'
	policy wild good 'hostname: sni.example.com, subjectAltNames: [{type: Hostname, hostname: a.wild.example.com}]'
	policy deep good 'hostname: sni.example.com, subjectAltNames: [{type: Hostname, hostname: a.b.wild.example.com}]'
	policy partial good 'hostname: sni.example.com, subjectAltNames: [{type: Hostname, hostname: partial.example.com}]'
	policy partial-host good 'hostname: partial.example.com'
	policy subject bare.example.com 'hostname: bare.example.com' 9445
	policy subject-san bare.example.com 'hostname: sni.example.com, subjectAltNames: [{type: Hostname, hostname: bare.example.com}]' 9445
	policy asking good 'hostname: good.example.com' 9446
	policy clear good 'hostname: good.example.com' 9101
	policy whole good 'hostname: good.example.com' 9449
	policy cut good 'hostname: good.example.com' 9450
	policy busy good 'hostname: good.example.com' 9447
	policy busy-after good 'hostname: good.example.com' 9448
	policy grpc good 'hostname: good.example.com' 9444 kubernetes.io/h2c
	policy grpc-name good 'hostname: bad.example.com' 9444 kubernetes.io/h2c
	bundle good
	bundle other
	bundle bare.example.com
	cat <<-YAML
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: Gateway
	metadata: {name: shows, namespace: default}
	spec:
	  gatewayClassName: weir
	  addresses: [{type: IPAddress, value: 127.0.0.31}]
	  tls: {backend: {clientCertificateRef: {name: shown}}}
	  listeners: [{name: http, port: 8080, protocol: HTTP}]
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: shows, namespace: default}
	spec:
	  parentRefs: [{name: shows}]
	  rules: [{backendRefs: [{name: asking, port: 80}]}]
	YAML
} >"$dir/site/tls.yaml"
secret shown mine >"$dir/site/shown.yaml"
cat "$dir/certs/mine.crt" "$dir/certs/next.crt" >"$dir/certs/known.crt"
export SSL_CERT_FILE=$dir/certs/good.crt # what the system trusts
proxy "$dir/site" workers=1 connect_timeout_ms=1000
grep -v '^# BackendNotFound\|^# NoBackend' "$dir/err"
backend A=http:127.0.1.1:9101
openssl s_server -accept 127.0.1.1:9443 -cert "$dir/certs/good.crt" -key "$dir/certs/good.key" \
	-www </dev/null >/dev/null 2>&1 3>&- &
others+=($!)
openssl s_server -accept 127.0.1.1:9445 -cert "$dir/certs/bare.example.com.crt" \
	-key "$dir/certs/bare.example.com.key" -www </dev/null >/dev/null 2>&1 3>&- &
others+=($!)
"$bin/weir-tls-peer" whole 127.0.1.1 9449 "$dir/certs/good.crt" "$dir/certs/good.key" 3>&- &
others+=($!)
"$bin/weir-tls-peer" cut 127.0.1.1 9450 "$dir/certs/good.crt" "$dir/certs/good.key" 3>&- &
others+=($!)
"$bin/weir-tls-peer" updates 127.0.1.1 9447 "$dir/certs/good.crt" "$dir/certs/good.key" >"$dir/busy" 3>&- &
others+=($!)
"$bin/weir-tls-peer" answers 127.0.1.1 9448 "$dir/certs/good.crt" "$dir/certs/good.key" >"$dir/busy-after" 3>&- &
others+=($!)
# Asks who is there, says it, and keeps its connections.
python3 - "$dir/certs" >"$dir/asking" 2>&1 3>&- <<-'PY' &
	import http.server, ssl, sys
	class Handler(http.server.BaseHTTPRequestHandler):
	    protocol_version = "HTTP/1.1"
	    def do_GET(self):
	        name = self.connection.getpeercert()["subject"][0][0][1].encode()
	        self.send_response(200)
	        self.send_header("Content-Length", str(len(name)))
	        self.end_headers()
	        self.wfile.write(name)
	    def log_message(self, *args):
	        pass
	ctx = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=sys.argv[1] + "/known.crt")
	ctx.verify_mode = ssl.CERT_REQUIRED
	ctx.load_cert_chain(sys.argv[1] + "/good.crt", sys.argv[1] + "/good.key")
	class Server(http.server.ThreadingHTTPServer):
	    daemon_threads = True
	    def finish_request(self, request, address):
	        super().finish_request(ctx.wrap_socket(request, server_side=True), address)
	Server(("127.0.1.1", 9446), Handler).serve_forever()
PY
others+=($!)
if [ -x "$programs/weir-test-grpc" ]; then
	"$programs/weir-test-grpc" serve B 127.0.1.1:9444 "$dir/certs/good.crt" "$dir/certs/good.key" \
		>"$dir/grpc" 2>&1 3>&- &
	others+=($!)
fi
listening 127.0.1.1 9443
listening 127.0.1.1 9445
listening 127.0.1.1 9446
listening 127.0.1.1 9447
listening 127.0.1.1 9449
listening 127.0.1.1 9450
listening 127.0.1.1 9448
[ ! -x "$programs/weir-test-grpc" ] || listening 127.0.1.1 9444

# get HOST: the status of a request to it
get() { curl -s -m 10 -o "$dir/got" -w '%{http_code}' -H "Host: $1.example" "$url/"; }
ok "the hostname of the policy" [ "$(get right)" = 200 ]
ok "it was TLS" grep -q 'TLSv1.3' "$dir/got"
ok "another hostname: 503" [ "$(get name)" = 503 ]
ok "another CA: 503" [ "$(get ca)" = 503 ]
ok "a CA that the system knows" [ "$(get system)" = 200 ]
ok "another hostname by it: 503" [ "$(get system-name)" = 503 ]
ok "one of the alternative names" [ "$(get san)" = 200 ]
ok "an alternative URI" [ "$(get uri)" = 200 ]
ok "another URI, though the hostname is right: 503" [ "$(get wrong-uri)" = 503 ]
ok "a wildcard is a whole label" [ "$(get wild)" = 200 ]
ok "and one: 503" [ "$(get deep)" = 503 ]
ok "a part of a label is no wildcard: 503" [ "$(get partial)" = 503 ]
ok "nor for the hostname: 503" [ "$(get partial-host)" = 503 ]
ok "the subject is no name: 503" [ "$(get subject)$(get subject-san)" = 503503 ]
ok "a backend without TLS: 503" [ "$(get clear)" = 503 ]
get whole >/dev/null
ok "a body that ends with its connection, and says so: whole" [ $? = 0 ]
get cut >/dev/null
ok "one that does not: the client sees that it is not all" [ $? = 56 ]
ok "key updates without end for an answer: 502" [ "$(get busy)" = 502 ]
ok "its connection is closed" await '^closed' "$dir/busy"
ok "key updates behind an answer: 200" [ "$(get busy-after)" = 200 ]
ok "its connection is closed, too" await '^closed' "$dir/busy-after"

# Connections on which a certificate is shown are kept like others, also when
# plans come; not when the certificate is another one.
shows() { curl -s -m 10 "http://127.0.0.31:8080/"; }
ok "one that asks for a certificate" [ "$(shows)" = mine ]
before=$(stat_of pool_misses)
wrong=0
for _ in 1 2 3 4 5; do
	[ "$(shows)" = mine ] && reload || wrong=1
done
ok "six requests and five plans, one connection" [ "$wrong $(($(stat_of pool_misses) - before))" = "0 0" ]
secret shown next >"$dir/site/shown.yaml"
reload
ok "another certificate: another connection" [ "$(shows) $(($(stat_of pool_misses) - before))" = "next 1" ]
ok "the one before is closed" settles pool_idle 1
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
