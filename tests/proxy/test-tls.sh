#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# TLS from clients: certificates by server name, HTTP/1.1 and HTTP/2 by ALPN,
# passthrough, raw bytes, clients' certificates, rotation under load.
set -u
# shellcheck source=tests/proxy/h2.sh
. "$(dirname "$0")/h2.sh"
go_program grpc "$(dirname "$0")/grpc" 2>/dev/null
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/clients/lib.sh
. "$here/clients/lib.sh"

gw=127.0.0.31
certificate web '*.example.com' raw.example.net
certificate shop shop.example.com
certificate pass pass.example.org
certificate client client.example
certificate stranger stranger.example
open_site
{
	cat <<-YAML
	apiVersion: gateway.networking.k8s.io/v1
	kind: Gateway
	metadata: {name: tls, namespace: default}
	spec:
	  gatewayClassName: weir
	  addresses: [{type: IPAddress, value: $gw}]
	  tls:
	    frontend:
	      default: {}
	      perPort:
	      - port: 8444
	        tls: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: clients}]}}
	      - port: 8446
	        tls: {validation: {mode: AllowInsecureFallback, caCertificateRefs: [{group: "", kind: ConfigMap, name: clients}]}}
	  listeners:
	  - {name: web, port: 8443, protocol: HTTPS, hostname: "*.example.com", tls: {certificateRefs: [{name: web}]}}
	  - {name: shop, port: 8443, protocol: HTTPS, hostname: shop.example.com, tls: {certificateRefs: [{name: shop}]}}
	  - {name: pass, port: 8443, protocol: TLS, hostname: pass.example.org, tls: {mode: Passthrough}}
	  - {name: raw, port: 8443, protocol: TLS, hostname: raw.example.net, tls: {mode: Terminate, certificateRefs: [{name: web}]}}
	  - {name: late, port: 8443, protocol: TLS, hostname: late.example.net, tls: {mode: Terminate, certificateRefs: [{name: web}]}}
	  - {name: only, port: 8445, protocol: HTTPS, hostname: only.example.com, tls: {certificateRefs: [{name: web}]}}
	  - {name: known, port: 8444, protocol: HTTPS, tls: {certificateRefs: [{name: web}]}}
	  - {name: any, port: 8446, protocol: HTTPS, tls: {certificateRefs: [{name: shop}, {name: web}]}}
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: web, namespace: default}
	spec:
	  parentRefs: [{name: tls, sectionName: web}, {name: tls, sectionName: shop}, {name: tls, sectionName: known}, {name: tls, sectionName: any}]
	  rules:
	  - matches: [{path: {type: PathPrefix, value: /weir.Test/}}]
	    backendRefs: [{name: grpc, port: 80}]
	  - matches: [{path: {type: PathPrefix, value: /moved}}]
	    filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /new}}}]
	  - backendRefs: [{name: one, port: 80}]
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: TLSRoute
	metadata: {name: pass, namespace: default}
	spec:
	  parentRefs: [{name: tls, sectionName: pass}]
	  hostnames: [pass.example.org]
	  rules: [{backendRefs: [{name: pass, port: 80}]}]
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: TLSRoute
	metadata: {name: raw, namespace: default}
	spec:
	  parentRefs: [{name: tls, sectionName: raw}]
	  hostnames: [raw.example.net]
	  rules: [{backendRefs: [{name: one, port: 80}]}]
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: TLSRoute
	metadata: {name: late, namespace: default}
	spec:
	  parentRefs: [{name: tls, sectionName: late}]
	  hostnames: [late.example.net]
	  rules: [{backendRefs: [{name: late, port: 80}]}]
	---
	apiVersion: v1
	kind: ConfigMap
	metadata: {name: clients, namespace: default}
	data:
	  ca.crt: |
	$(sed 's/^/    /' "$dir/certs/client.crt")
	YAML
	service grpc 9111 127.0.1.1 kubernetes.io/h2c
	service pass 9443
	service late 9190
} >"$dir/site/tls.yaml"
{ secret web web; secret shop shop; } >"$dir/site/secrets.yaml"
proxy "$dir/site" workers=2
grep -v '^# BackendNotFound\|^# NoBackend' "$dir/err"
backend A=http:127.0.1.1:9101
openssl s_server -accept 127.0.1.1:9443 -cert "$dir/certs/pass.crt" -key "$dir/certs/pass.key" \
	-www </dev/null >/dev/null 2>&1 3>&- &
others+=($!)
if [ -x "$programs/weir-test-grpc" ]; then
	"$programs/weir-test-grpc" serve B 127.0.1.1:9111 >"$dir/grpc" 2>&1 3>&- &
	others+=($!)
fi
listening 127.0.1.1 9443
[ ! -x "$programs/weir-test-grpc" ] || listening 127.0.1.1 9111

# tls CERTIFICATE HOST[:PORT] PATH [curl options]: status, version, what was verified
tls() {
	local cert=$1 host=${2%:*} port=${2#*:} path=$3
	[ "$port" != "$2" ] || port=8443
	shift 3
	curl -s -m 20 --cacert "$dir/certs/$cert.crt" --resolve "$host:$port:$gw" -o "$dir/got" \
		-w '%{http_code} %{http_version} %{ssl_verify_result}' "https://$host:$port$path" "$@"
}
# hello NAME [s_client options]: what s_client says of a handshake
hello() {
	local name=$1
	shift
	timeout 5 openssl s_client -connect $gw:8443 -servername "$name" "$@" </dev/null 2>&1
}

ok "a wildcard's certificate, HTTP/2 by ALPN" [ "$(tls web a.example.com /bytes/100)" = "200 2 0" ]
ok "HTTP/1.1 by ALPN" [ "$(tls web a.example.com /bytes/100 --http1.1)" = "200 1.1 0" ]
ok "HTTP/1.1 without ALPN" [ "$(tls web a.example.com /bytes/100 --no-alpn)" = "200 1.1 0" ]
ok "the exact name's certificate" [ "$(tls shop shop.example.com /bytes/100)" = "200 2 0" ]
ok "not the wildcard's" [ "$(tls web shop.example.com /bytes/100)" != "200 2 0" ]
ok "passthrough: the backend's certificate" [ "$(tls pass pass.example.org / --http1.1)" = "200 1 0" ]
ok "terminated to raw bytes" [ "$(tls web raw.example.net /bytes/100 --http1.1)" = "200 1.1 0" ]
ok "raw bytes: no ALPN of ours" grep -q 'No ALPN negotiated' <(hello raw.example.net -alpn h2,http/1.1)
ok "nothing in common by ALPN is an alert" grep -q 'no application protocol' <(hello a.example.com -alpn spdy/3)
ok "no listener for the name: an alert" grep -q 'unrecognized name' <(timeout 5 openssl s_client -connect $gw:8445 -servername nobody.example.net </dev/null 2>&1)
ok "no name at all: likewise" grep -q 'unrecognized name' <(timeout 5 openssl s_client -connect $gw:8445 -noservername </dev/null 2>&1)
ok "where there are TLSRoutes: a reset" grep -q 'errno=104' <(hello nobody.example.net)
ok "TLS 1.2" grep -q 'Protocol *: TLSv1.2' <(hello a.example.com -tls1_2)
ok "TLS 1.1 is refused" grep -q 'alert protocol version\|no protocols available' <(hello a.example.com -tls1_1 -cipher DEFAULT@SECLEVEL=0)
ok "sessions are resumed" grep -q '^Reused' <(hello a.example.com -tls1_2 -reconnect)
ok "Host of another listener: 421" [ "$(tls web a.example.com / -H 'Host: shop.example.com')" = "421 2 0" ]
ok "Host of the same: 200" [ "$(tls web a.example.com / -H 'Host: b.example.com')" = "200 2 0" ]
absolute=(--http1.1 --request-target)
ok "absolute-form of https" [ "$(tls web a.example.com / "${absolute[@]}" https://a.example.com/bytes/100)" = "200 1.1 0" ]
ok "its authority is the host" [ "$(tls web a.example.com / "${absolute[@]}" https://shop.example.com/)" = "421 1.1 0" ]
ok "absolute-form of http, within TLS" [ "$(tls web a.example.com / "${absolute[@]}" http://a.example.com/bytes/100)" = "200 1.1 0" ]
if python3 -c 'import socket' 2>/dev/null; then
	ok "a client says good-bye and is gone while its backend sends" python3 "$here/clients/tls_gone.py" $gw 8443 late.example.net 127.0.1.1 9190
	bad=0
	for _ in $(seq 10); do
		[ "$(tls web a.example.com /bytes/100 -m 2)" = "200 2 0" ] || bad=$((bad + 1))
	done
	ok "which holds up nobody" [ $bad = 0 ]
else
	skip "a client is gone" "Python is not installed"
fi
# ended MODE [HOST]: what became of a peer that is busy with nothing (weir-tls-peer)
ended() { timeout 20 "$bin/weir-tls-peer" "$1" $gw 8443 "${2-a.example.com}" | tail -n 1; }
for host in a.example.com raw.example.net; do
	got=$(ended updates $host)
	ok "key updates without end, $host: closed ($got)" [ "${got% *}" = closed ]
	got=$(ended requests $host)
	ok "key updates that ask for ours, $host: closed ($got)" [ "${got% *}" = closed ]
	ok "a second hello in TLS 1.2, $host: closed" [ "$(ended hello $host)" = "closed 1" ]
	ok "the first record of a long one, $host: closed" [ "$(ended half $host)" = "closed 1" ]
done
ok "all of them were counted" settles TLS_FLOOD 8
tls web a.example.com /x >/dev/null
ok "the backend is told: https" grep -q '"X-Forwarded-Proto","https"' "$dir/got"
ok "redirects stay with https" [ "$(curl -s -m 5 --cacert "$dir/certs/web.crt" --resolve "a.example.com:8443:$gw" -o /dev/null -w '%{redirect_url}' https://a.example.com:8443/moved)" = https://a.example.com:8443/new ]

head -c 3000000 /dev/urandom >"$dir/up"
for v in --http1.1 --http2; do
	tls web a.example.com /bytes/20000000 $v >/dev/null
	ok "$v: 20 MB down" cmp -s "$dir/got" <(yes abcdefghijklmnopqrstuvwxyz | tr -d '\n' | head -c 20000000)
	tls web a.example.com /up $v -T "$dir/up" >/dev/null
	ok "$v: 3 MB up" grep -q '"body_bytes":3000000' "$dir/got"
done
ok "a hello in pieces" grep -q '^HTTP/1.1 200' <(
	python3 - "$gw" <<-'PY'
	import socket, ssl, sys, time
	context = ssl.create_default_context()
	context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
	incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
	tls = context.wrap_bio(incoming, outgoing, server_hostname="a.example.com")
	s = socket.create_connection((sys.argv[1], 8443), 5)
	s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
	def pump(operation, is_slow=False):
	    while True:
	        try:
	            return operation()
	        except ssl.SSLWantReadError:
	            out = outgoing.read()
	            for i in range(0, len(out), 50):
	                s.sendall(out[i:i + 50])
	                time.sleep(0.005)
	            incoming.write(s.recv(65536))
	pump(tls.do_handshake)
	tls.write(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
	print(pump(lambda: tls.read(1000)).decode())
	PY
)
ok "no hello is waited for too long, and what is none is closed" [ -z "$(printf 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' | timeout 5 socat - TCP:$gw:8443,ignoreeof)" ]

known=(--cert "$dir/certs/client.crt" --key "$dir/certs/client.key")
other=(--cert "$dir/certs/stranger.crt" --key "$dir/certs/stranger.key")
ok "a client's certificate of the CA" [ "$(tls web a.example.com:8444 / "${known[@]}")" = "200 2 0" ]
ok "one of another" [ "$(tls web a.example.com:8444 / "${other[@]}")" = "000 0 0" ]
ok "none" [ "$(tls web a.example.com:8444 /)" = "000 0 0" ]
ok "AllowInsecureFallback: of the CA" [ "$(tls web a.example.com:8446 / "${known[@]}")" = "200 2 0" ]
ok "another's passes, too" [ "$(tls web a.example.com:8446 / "${other[@]}")" = "200 2 0" ]
ok "and none" [ "$(tls web a.example.com:8446 /)" = "200 2 0" ]
ok "of a listener's two certificates the first with the name" [ "$(tls shop shop.example.com:8446 /)" = "200 2 0" ]

# Connections that stand while their listener begins to ask for certificates.
if python3 -c 'import socket' 2>/dev/null; then
	coproc python3 "$here/clients/tls_standing.py" $gw 8446 a.example.com
	read -r -u "${COPROC[0]}" first
	sed -i 's/mode: AllowInsecureFallback, //' "$dir/site/tls.yaml"
	: >"$dir/out"
	echo reload >&3
	await 'acked'
	echo >&"${COPROC[1]}"
	read -r -u "${COPROC[0]}" second
	wait "$COPROC_PID"
	ok "a connection from before a certificate was asked for: 421 ($first, $second)" [ "$first $second" = "200 421" ]
	ok "with one: 200" [ "$(tls web a.example.com:8446 / "${known[@]}")" = "200 2 0" ]
else
	skip "standing connections" "Python is not installed"
	skip "with a certificate" "Python is not installed"
fi

# One that goes before it has said anything, or half of it, is not kept.
for said in '' '\x16\x03\x01'; do
	python3 - "$(printf '%b' "$said" | base64)" <<-'PY'
		import base64, socket, sys
		s = socket.create_connection(("127.0.0.31", 8443), 5)
		s.sendall(base64.b64decode(sys.argv[1]))
		s.shutdown(socket.SHUT_WR)
		try:
		    sys.exit(0 if s.recv(1) == b"" else 1)
		except ConnectionResetError:
		    sys.exit(0)
	PY
	ok "a client that says '$said' and goes: closed at once" [ $? = 0 ]
done
if [ -x "$programs/weir-test-grpc" ]; then
	numbered "$programs/weir-test-grpc" call $gw:8443 -tls a.example.com -authority a.example.com
else
	skip gRPC "Go is not installed, or cannot fetch grpc-go"
fi

# What OpenSSL reads ahead of is given back: an idle connection has no buffer (17 KiB).
anonymous() { awk '/^Anonymous/ {n += $2} END {print n}' "/proc/$pid/smaps_rollup"; }
if python3 -c 'import socket' 2>/dev/null; then
	prlimit --pid $$ --nofile=4096:
	prlimit --pid "$pid" --nofile=4096:
	before=$(anonymous)
	coproc python3 "$here/clients/tls_idle.py" $gw 8443 a.example.com 1500
	read -r -u "${COPROC[0]}" _
	sleep 0.2
	grown=$((($(anonymous) - before) * 1024 / 1500))
	ok "an idle connection costs at most 16 KiB ($grown bytes)" [ $grown -le 16384 ]
	kill "$COPROC_PID"
	wait "$COPROC_PID" 2>/dev/null
else
	skip "idle connections" "Python is not installed"
fi

# With little room in the socket it is full, now and then, when the last byte goes into it.
if [ -n "${WEIR_OWN_NET:-}" ] && python3 -c 'import socket' 2>/dev/null; then
	wmem=$(sysctl -n net.ipv4.tcp_wmem)
	sysctl -qw net.ipv4.tcp_wmem='4096 16384 40000'
	ok "bodies that end with the connection, to slow readers: all of them whole" python3 "$here/clients/tls_whole.py" $gw 8443 a.example.com 150
	ok "likewise where bytes are passed on" python3 "$here/clients/tls_whole.py" $gw 8443 raw.example.net 150 raw
	sysctl -qw net.ipv4.tcp_wmem="$wmem"
else
	skip "slow readers" "no network namespace of its own, or Python is not installed"
fi

# Rotation: requests on new and on standing connections, while the certificate
# changes ten times; then the last one is shown.
if client_is h2load "command -v h2load"; then
	h2load -D 6 -c 8 -m 4 --connect-to $gw:8443 https://a.example.com:8443/bytes/1000 >"$dir/load" 2>&1 3>&- &
	load=$!
	bad=0
	for i in $(seq 10); do
		certificate web '*.example.com' raw.example.net
		{ secret web web; secret shop shop; } >"$dir/site/secrets.yaml"
		: >"$dir/out"
		echo reload >&3
		await 'acked' || bad=$((bad + 1))
		for _ in 1 2 3 4 5; do
			[ "$(tls web a.example.com /bytes/100)" = "200 2 0" ] || bad=$((bad + 1))
		done
	done
	ok "ten certificates one after the other, each shown at once" [ $bad = 0 ]
	wait $load
	ok "no request failed meanwhile" grep -q ' 0 failed, 0 errored, 0 timeout' "$dir/load"
	grep '^requests' "$dir/load" | sed 's/^/# /'
fi
ok "nothing is left in flight" settles in_flight 0
exec 3>&-
wait "$driver"
ok "and the proxy ends well" [ $? = 0 ]
driver=
exec 3>/dev/null
plan
