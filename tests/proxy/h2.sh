# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# For the tests of HTTP/2, TLS and gRPC; after lib.sh and clients/lib.sh.

# go_program NAME DIR|MODULE@VERSION: $programs/NAME, built once; fails without
# Go or what it would have to fetch.
programs=${WEIR_CACHE:-$HOME/.cache/weir}/bin
go_program() {
	local to=$programs/weir-test-$1 tmp
	command -v go >/dev/null || return 1
	mkdir -p "$programs"
	tmp=$(mktemp -d "$programs/.go.XXXXXX")
	if [ -d "$2" ]; then
		[ -x "$to" ] && [ -z "$(find "$2" -newer "$to" -type f)" ] && { rmdir "$tmp"; return 0; }
		(cd "$2" && go build -o "$tmp/out" .) >&2
	elif [ ! -x "$to" ]; then
		GOBIN=$tmp go install "$2" >&2 && mv "$tmp"/* "$tmp/out"
	fi
	[ ! -e "$tmp/out" ] || mv "$tmp/out" "$to"
	rm -rf "$tmp"
	[ -x "$to" ]
}

skip() { # TEXT REASON
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# service NAME PORT [ADDR [APPPROTOCOL]]: with one endpoint, to standard output.
service() {
	local app=${4:+, appProtocol: $4}
	cat <<-YAML
	---
	apiVersion: v1
	kind: Service
	metadata: {name: $1, namespace: default}
	spec: {ports: [{name: p, port: 80, targetPort: $2$app}]}
	---
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: $1-1, namespace: default, labels: {kubernetes.io/service-name: $1}}
	addressType: IPv4
	ports: [{name: p, port: $2, protocol: TCP$app}]
	endpoints: [{addresses: [${3:-127.0.1.1}], conditions: {ready: true}}]
	YAML
}

# route NAME PORT [APPPROTOCOL [TIMEOUTS]]: a route of the host NAME to a service of
# that name, both to standard output.
route() {
	cat <<-YAML
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: $1, namespace: default}
	spec:
	  parentRefs: [{name: gw, sectionName: http}]
	  hostnames: [$1]
	  rules: [{backendRefs: [{name: $1, port: 80}]${4-}}]
	YAML
	service "$1" "$2" 127.0.1.1 "${3-}"
}

# certificate NAME HOST|URI:...: $dir/certs/NAME.crt and .key, signed by itself.
certificate() {
	local name=$1 names
	shift
	names=$(printf ',DNS:%s' "$@")
	names=${names//DNS:URI:/URI:}
	mkdir -p "$dir/certs"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
		-subj "/CN=$name" -addext "subjectAltName=${names#,}" \
		-keyout "$dir/certs/$name.key" -out "$dir/certs/$name.crt" 2>"$dir/openssl" ||
		sed 's/^/# /' "$dir/openssl"
}

# listening ADDR PORT: until somebody does.
listening() {
	for _ in $(seq 250); do
		(: <"/dev/tcp/$1/$2") 2>/dev/null && return 0
		sleep 0.02
	done
	return 1
}

# secret NAME CERTIFICATE: to standard output.
secret() {
	cat <<-YAML
	---
	apiVersion: v1
	kind: Secret
	metadata: {name: $1, namespace: default}
	type: kubernetes.io/tls
	data:
	  tls.crt: $(base64 -w0 "$dir/certs/$2.crt")
	  tls.key: $(base64 -w0 "$dir/certs/$2.key")
	YAML
}

# numbered COMMAND...: its TAP lines, numbered with ours.
numbered() {
	local line before=$n
	while IFS= read -r line; do
		case $line in
		ok*) n=$((n + 1)) && echo "ok $n${line#ok}" ;;
		'not ok'*) n=$((n + 1)) && echo "not ok $n${line#not ok}" && status=1 ;;
		*) echo "# $line" ;;
		esac
	done < <("$@" 2>&1 || echo "not ok - $* ended with $?")
	[ "$n" -gt "$before" ] || ok "$*: it says something" false
}
