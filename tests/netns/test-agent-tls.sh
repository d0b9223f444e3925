#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# TLS from manifests to the wire: certificates by reference, server names that
# decide, passthrough, rotation without a lost request, and keys that show up
# nowhere.
# timeout: 120

set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/netns/agent.sh
. "$here/agent.sh"

netns_begin agent-tls
agent_site
pki=$netns_work/pki
out=$netns_work/out
mkdir -p "$pki"

new_cert() { # FILE HOST
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$pki/$1.key" -out "$pki/$1.crt" -days 2 \
		-subj "/CN=$2" -addext "subjectAltName=DNS:$2" 2>/dev/null
}

secret() { # NAME FILE
	cat <<-EOM
		apiVersion: v1
		kind: Secret
		metadata: {name: $1, namespace: default}
		type: kubernetes.io/tls
		data:
		  tls.crt: $(base64 -w0 "$pki/$2.crt")
		  tls.key: $(base64 -w0 "$pki/$2.key")
	EOM
}

# The serial number of what is shown for a server name.
serial_of() { # NAME
	in_ns host openssl s_client -connect 198.51.100.10:443 -servername "$1" \
		</dev/null 2>/dev/null | openssl x509 -noout -serial 2>/dev/null
}

serial_in() { # FILE
	openssl x509 -noout -serial -in "$pki/$1.crt"
}

ask() { # HOST CA PATH [CURL-FLAG...]: what the backend says
	local host=$1 ca=$2 path=$3
	shift 3
	in_ns host curl -s -m 5 --cacert "$pki/$ca.crt" \
		--resolve "$host:443:198.51.100.10" "$@" "https://$host$path"
}

tap_plan 12

new_cert shop shop.example.com
new_cert shop2 shop.example.com
new_cert wild '*.example.com'
new_cert behind behind.example.org
secret shop shop >"$agent_dir/shop.yaml"
secret wild wild >"$agent_dir/wild.yaml"
spawn host openssl s_server -accept 127.0.0.1:8443 -quiet -www \
	-cert "$pki/behind.crt" -key "$pki/behind.key" >"$netns_work/s" 2>&1
cat >"$agent_dir/tls.yaml" <<'YAML'
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: tls, namespace: default}
spec:
  gatewayClassName: weir
  addresses: [{value: 198.51.100.10}]
  listeners:
  - {name: shop, port: 443, protocol: HTTPS, hostname: shop.example.com, tls: {certificateRefs: [{name: shop}]}}
  - {name: wild, port: 443, protocol: HTTPS, hostname: '*.example.com', tls: {certificateRefs: [{name: wild}]}}
  - {name: pass, port: 443, protocol: TLS, hostname: '*.example.org', tls: {mode: Passthrough}}
  - {name: gone, port: 443, protocol: HTTPS, hostname: gone.example.net, tls: {certificateRefs: [{name: gone}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: default}
spec:
  parentRefs: [{name: tls, sectionName: shop}]
  rules: [{backendRefs: [{name: a, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: wild, namespace: default}
spec:
  parentRefs: [{name: tls, sectionName: wild}]
  rules: [{backendRefs: [{name: b, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: behind, namespace: default}
spec:
  parentRefs: [{name: tls, sectionName: pass}]
  hostnames: [behind.example.org]
  rules: [{backendRefs: [{name: behind, port: 443}]}]
---
apiVersion: v1
kind: Service
metadata: {name: behind, namespace: default}
spec: {ports: [{port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: behind-1, namespace: default, labels: {kubernetes.io/service-name: behind}}
addressType: IPv4
ports: [{port: 8443}]
endpoints: [{addresses: [127.0.0.1]}]
YAML

# shellcheck disable=SC2119 # no flags beyond the usual ones
agent_start
tap_ok $? 'an agent starts'

[[ $(serial_of shop.example.com) == "$(serial_in shop)" &&
	$(serial_of other.example.com) == "$(serial_in wild)" ]]
tap_ok $? 'the server name chooses the certificate'
ask shop.example.com shop / >"$out" && [[ $(jq -r .name "$out") == a ]]
tap_ok $? 'HTTPS goes to the backend of its listener'
[[ $(ask shop.example.com shop / --http2 -o /dev/null -w '%{http_version} %{http_code}') == '2 200' &&
	$(ask shop.example.com shop / --http1.1 -o /dev/null -w '%{http_version} %{http_code}') == '1.1 200' ]]
tap_ok $? 'HTTP/2 and HTTP/1.1 by ALPN'
[[ $(serial_of behind.example.org) == "$(serial_in behind)" ]]
tap_ok $? 'passthrough shows the certificate of the backend'
[[ -z $(serial_of gone.example.net) && -z $(serial_of nobody.example.net) ]]
tap_ok $? 'a name without a certificate, and one of nobody, get no TLS'

in_ns host "$agent_tools/weir-load" -c 4 -t 3 http://198.51.100.10/ \
	>"$netns_work/load" 2>&1 &
load=$!
before=$(agent_generation)
secret shop shop2 | agent_put shop.yaml
agent_wait_newer "$before"
rotated() { [[ $(serial_of shop.example.com) == "$(serial_in shop2)" ]]; }
wait_until 5 rotated && ask shop.example.com shop2 / >/dev/null
tap_ok $? 'a new Secret is a new certificate'
wait "$load" && agent_loaded '.failed == 0'
tap_ok $? 'nobody else noticed'

before=$(agent_generation)
{ secret shop shop2 | sed "s#tls.key: .*#tls.key: $(base64 -w0 "$pki/shop.key")#"; } |
	agent_put shop.yaml
diags() {
	NO_COLOR=1 "${WEIR_BUILD:-build}/weirctl" diags --admin "$agent_sock" >"$out" 2>&1
	grep -q 'not the key of the certificate' "$out"
}
wait_until 5 diags && [[ -z $(serial_of shop.example.com) ||
	$(serial_of shop.example.com) == "$(serial_in wild)" ]]
tap_ok $? 'a key of another certificate is said, and not served'
secret shop shop2 | agent_put shop.yaml
wait_until 5 rotated
tap_ok $? 'and served again when it is right'

leaks() { # any line of a key in what weirctl shows, in the log, or in pins
	local line
	for line in $(sed -n 2p "$pki/shop2.key") $(sed -n 2p "$pki/wild.key"); do
		grep -qrF -- "$line" "$out.dump" "$out.json" "$out.diags" \
			"$agent_log" && return 0
		grep -qF -- "$(sed -n 2p "$pki/wild.key" | base64 -w0 | cut -c1-40)" \
			"$out.dump" "$out.json" && return 0
	done
	return 1
}
for what in dump diags; do
	"${WEIR_BUILD:-build}/weirctl" $what --admin "$agent_sock" \
		>"$out.$what" 2>&1
done
"${WEIR_BUILD:-build}/weirctl" dump -o json --admin "$agent_sock" >"$out.json" 2>&1
[[ -s $out.dump && -s $out.json ]] && ! leaks
tap_ok $? 'keys are in no dump, no diagnostic, no log'
# Only the agent and the proxy hold the block.
holders=0
for fd in /proc/"$(agent_pid parent)"/fd/*; do
	[[ $(readlink "$fd") == *weir-secrets* ]] && holders=$((holders + 1))
done
[[ $holders == 0 ]]
tap_ok $? 'the parent keeps no secrets'

