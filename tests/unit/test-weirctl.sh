#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# weirctl without an agent: what it prints, and its exit codes.
# timeout: 60

set -u
ctl=${WEIR_BUILD:-build}/weirctl
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0
status=0

# A check: exit status, then lines (fixed strings) that must be there.
check() { # NAME EXIT-STATUS LINES -- [weirctl arguments]
	local name=$1 want=$2 got=0 line missing=
	local -a lines=()
	shift 2
	while [[ $1 != -- ]]; do
		lines+=("$1")
		shift
	done
	shift
	n=$((n + 1))
	NO_COLOR=1 "$ctl" "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
	for line in "${lines[@]}"; do
		grep -qF -- "$line" "$work/out" "$work/err" || missing=$line
	done
	if [[ $got == "$want" && -z $missing ]]; then
		echo "ok $n - $name"
	else
		status=1
		echo "# exit status $got, wanted $want; missing: ${missing:-nothing}"
		sed 's/^/# /' "$work/out" "$work/err"
		echo "not ok $n - $name"
	fi
}

json() { # NAME JQ-EXPRESSION [weirctl arguments]
	local name=$1 expr=$2
	shift 2
	n=$((n + 1))
	"$ctl" "$@" >"$work/out" 2>"$work/err"
	if jq -e "$expr" "$work/out" >/dev/null 2>&1; then
		echo "ok $n - $name"
	else
		status=1
		sed 's/^/# /' "$work/out" "$work/err"
		echo "not ok $n - $name"
	fi
}

verdict() { # NAME COMMAND...
	local name=$1
	shift
	n=$((n + 1))
	if "$@" >"$work/err" 2>&1; then
		echo "ok $n - $name"
	else
		status=1
		sed 's/^/# /' "$work/err"
		echo "not ok $n - $name"
	fi
}

site=$work/site
mkdir -p "$site" "$work/empty" "$work/warn"
cat >"$site/site.yaml" <<'YAML'
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: weir}
spec: {controllerName: weir.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  gatewayClassName: weir
  addresses:
  - {type: IPAddress, value: 10.99.0.1}
  - {type: IPAddress, value: "fd00::99"}
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: tcp, port: 9000, protocol: TCP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: default}
spec:
  parentRefs: [{name: gw}]
  hostnames: [shop.example.com]
  rules:
  - matches:
    - {path: {type: PathPrefix, value: /cart}, method: POST}
    - {headers: [{name: x-env, value: canary}]}
    backendRefs:
    - {name: a, port: 80, weight: 90}
    - {name: b, port: 80, weight: 10}
  - matches: [{path: {type: Exact, value: /old}}]
    filters:
    - {type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: db, namespace: default}
spec:
  parentRefs: [{name: gw, sectionName: tcp}]
  rules: [{backendRefs: [{name: a, port: 80, weight: 70}, {name: b, port: 80, weight: 30}]}]
---
apiVersion: v1
kind: Service
metadata: {name: a, namespace: default}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: b, namespace: default}
spec: {clusterIP: 10.96.0.11, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-1, namespace: default, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.1.0.5], nodeName: n1}, {addresses: [10.1.0.6]}]
YAML
cp -r "$site" "$work/bad"
cat >"$work/bad/bad.yaml" <<'YAML'
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: lost, namespace: default}
spec:
  parentRefs: [{name: gw}]
  rules:
  - backendRefs: [{name: gone, port: 80}]
YAML
cat >"$work/warn/warn.yaml" <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: a, namespace: default}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}], noSuchField: 1}
YAML
on=(--manifests "$site")

# A rule at two addresses, split by connection at one of them; many hosts and
# many paths.
mkdir -p "$work/many"
{
	for gw in slow/1 fast/2; do
		echo "apiVersion: gateway.networking.k8s.io/v1"
		echo "kind: Gateway"
		echo "metadata: {name: ${gw%/*}, namespace: default," \
			"annotations: {weir.dev/split:" \
			"$([[ $gw == fast* ]] && echo connection || echo request)}}"
		echo "spec: {gatewayClassName: weir, addresses: [{value: 10.8.0.${gw#*/}}]," \
			"listeners: [{name: all, port: 80, protocol: HTTP}, {name: many, port: 81, protocol: HTTP}]}"
		echo ---
	done
	echo "apiVersion: gateway.networking.k8s.io/v1"
	echo "kind: HTTPRoute"
	echo "metadata: {name: both, namespace: default}"
	echo "spec: {parentRefs: [{name: slow, sectionName: all}, {name: fast, sectionName: all}]," \
		"rules: [{backendRefs: [{name: gone, port: 80}]}]}"
	for i in {10..40}; do
		echo ---
		echo "apiVersion: gateway.networking.k8s.io/v1"
		echo "kind: HTTPRoute"
		echo "metadata: {name: r$i, namespace: default}"
		echo "spec: {parentRefs: [{name: slow, sectionName: many}]," \
			"hostnames: [h$i.example, all.example]," \
			"rules: [{matches: [{path: {value: /p$i}}, {path: {value: /m}, method: PUT}]}]}"
	done
} >"$work/many/many.yaml"
many=(--manifests "$work/many")
mkdir "$work/few"
cp "$(dirname "$0")/golden/wake.yaml" "$work/few"

echo 1..65
check "explain says the plane of the address, and what it changes" 0 \
	"plane     connect+packet: weir.dev/split: connection" \
	"note      an open connection keeps its backend" "refused: invalid" -- \
	explain "${many[@]}" http://10.8.0.2/
check "explain says how many requests at once a pod takes, and that this keeps requests here" 0 \
	"plane     proxy: split by connection asked, but pods of a revision take a limited number" \
	"10.3.2.1:8012, 10.3.2.2:8012; 1 request at once each" -- \
	explain --manifests "$work/few" http://10.96.0.3/
check "... as JSON" 0 '"concurrency":1' -- \
	explain --manifests "$work/few" -o json http://10.96.0.3/
check "the same rule elsewhere" 0 "plane     proxy: weight is a share" \
	"500: invalid" -- explain "${many[@]}" http://10.8.0.1/
check "explain names a few of many hosts" 1 \
	"hosts     all.example h10.example" "and 24 more" -- \
	explain "${many[@]}" http://no.example:81/
check "explain shows of many matches those of the path" 1 \
	"prefix /m method PUT" "method" "and 42 matches more" -- \
	explain "${many[@]}" http://all.example:81/m
check "explain counts matches of other paths" 1 \
	"62 matches of other paths (-o json lists them)" -- \
	explain "${many[@]}" http://all.example:81/none
json "all of them as JSON" '.answers[0].misses | length == 62' \
	explain "${many[@]}" -o json http://all.example:81/none
check "a clean directory passes" 0 "0 errors" -- check "$site"
check "an empty directory passes" 0 "0 errors" -- check "$work/empty"
check "an error is named with its place" 1 "bad.yaml:" "error" \
	"HTTPRoute default/lost" "spec.rules[0].backendRefs[0]" \
	"(BackendNotFound)" -- check "$work/bad"
check "a warning alone passes" 0 "0 errors, 1 warning" -- check "$work/warn"
check "a warning fails with --strict" 1 "0 errors, 1 warning" -- \
	check --strict "$work/warn"
check "no such directory is a failure" 2 "No such file" -- \
	check "$work/nowhere"
json "check as JSON" '.errors == 1 and .diags[0].reason == "BackendNotFound"
	and .diags[0].line > 0' check -o json "$work/bad"
check "diags of manifests are those of check" 1 "(BackendNotFound)" -- \
	diags --manifests "$work/bad"

check "dump names frontends, matches, refs, endpoints" 0 \
	"frontend 10.99.0.1:80/tcp http of Gateway default/gw" \
	"prefix /cart method POST -> rule 0" \
	"ref 0 weight 90 share 90.0000% Service default/a:80" \
	"endpoint 10.1.0.6:8080" -- dump "${on[@]}"
check "dump knows the node" 0 "endpoint 10.1.0.5:8080 local" -- \
	dump "${on[@]}" --node-name n1
json "dump as JSON" '(.frontends | length) == 4 and
	.rules[0].shares == [0.9, 0.1] and .localAddresses[0].address ==
	"10.99.0.1"' dump "${on[@]}" -o json
"$ctl" dump "${on[@]}" >"$work/one"
"$ctl" dump "${on[@]}" >"$work/two"
verdict "dump is stable" cmp "$work/one" "$work/two"
check "routes" 0 "HTTPRoute default/shop [0]  proxy" \
	"90.00%  Service default/a:80" "503: no endpoint" \
	"TCPRoute default/db [0]     connect+packet  10.99.0.1:9000/tcp (+1)" \
	"refused: no endpoint" "redirect 301" -- routes "${on[@]}"
json "routes as JSON" '.rules[0].refs[0].share == 0.9 and
	(.rules | length) == 3' routes "${on[@]}" -o json

shop=http://shop.example.com
check "explain finds the rule" 0 "HTTPRoute default/shop rule 0" \
	"prefix /cart method POST" "proxy: weight is a share of requests" \
	"90.00%" "10.1.0.5:8080, 10.1.0.6:8080" -- \
	explain "${on[@]}" POST "$shop/cart/x"
check "explain by header" 0 "header x-env=canary" -- \
	explain "${on[@]}" -H 'X-Env: canary' "$shop/any"
check "explain tells a 404 with what each match lacks" 1 \
	"404: no match of this host applies" "exact /old" \
	"header is not x-env=canary" "method" -- \
	explain "${on[@]}" GET "$shop/cart"
check "explain a redirect" 0 "redirect 301 scheme https" -- \
	explain "${on[@]}" "$shop/old"
check "explain a host without route" 1 \
	"404: the listener has no route for this host" "shop.example.com" -- \
	explain "${on[@]}" http://other.example.com/
check "explain with another Host" 0 "rule 1" -- \
	explain "${on[@]}" -H 'Host: SHOP.example.com:80' http://10.99.0.1/old
check "explain by --to" 0 "[fd00::99]:80/tcp" -- \
	explain "${on[@]}" --to fd00::99 "$shop/old"
check "explain an address that is not taken" 1 "passes untouched" -- \
	explain "${on[@]}" "$shop:81/"
check "explain tcp" 0 "TCPRoute default/db rule 0" \
	"connect+packet: per connection by nature" "70.00%" \
	"where     sockets on this machine, under the cgroup: connect;" -- \
	explain "${on[@]}" tcp 10.99.0.1:9000
check "explain tcp of an HTTP address" 0 "decided for each request" -- \
	explain "${on[@]}" tcp "[fd00::99]:80"
check "explain udp of a TCP address" 1 "passes untouched" -- \
	explain "${on[@]}" udp 10.99.0.1:9000
json "explain as JSON" '.taken and .answers[0].rule == 0 and
	.answers[0].refs[1].state == "ok" and
	.answers[0].refs[0].endpoints[1] == "10.1.0.6:8080"' \
	explain "${on[@]}" -o json POST "$shop/cart"
json "explain a 404 as JSON" '.answers[0].why[0:3] == "404" and
	(.answers[0].misses | length) == 3' explain "${on[@]}" -o json "$shop/"
check "explain refuses what the proxy refuses" 1 \
	"address   10.99.0.1:80/tcp" "answer    400: dot segment in the path" -- \
	explain "${on[@]}" POST "$shop/cart/../x"
check "explain refuses methods as the proxy does" 1 \
	"answer    405: method not allowed" -- \
	explain "${on[@]}" CONNECT shop.example.com:80
check "explain refuses two Hosts" 1 "answer    400: more than one Host" -- \
	explain "${on[@]}" -H 'Host: a' -H 'Host: b' "$shop/old"
check "no proxy, no refusal: split by connection" 0 "refused: invalid" \
	"HTTPRoute default/both rule 0" -- \
	explain "${many[@]}" "http://10.8.0.2/../x"
json "a refusal as JSON" '.taken and .answers[0].why ==
	"400: dot segment in the path" and .answers[0].misses == []' \
	explain "${on[@]}" -o json "$shop/%2e%2E/x"
check "explain OPTIONS *" 1 "OPTIONS * of shop.example.com:80" \
	"answer    404: the target * is no path" -- \
	explain "${on[@]}" OPTIONS '*' -H 'Host: shop.example.com'
check "explain OPTIONS * without a host" 1 "OPTIONS * of any host:80" \
	"address   10.99.0.1:80/tcp" \
	"answer    404: the target * is no path" -- \
	explain "${on[@]}" OPTIONS '*'
check "explain GET *" 1 "answer    400: malformed request target" -- \
	explain "${on[@]}" GET '*'
check "explain reads the Host as the proxy does" 0 "rule 1" -- \
	explain "${on[@]}" http://Shop.Example.COM./old
check "not a method, not a layer" 2 "methods are in upper case" \
	"tcp and udp" -- explain "${on[@]}" sctp 1.2.3.4:5
check "a bracket that is not closed" 2 "not a URL" -- \
	explain "${on[@]}" GET 'http://[::1/'
check "not a URL" 2 "not a URL" -- explain "${on[@]}" http:///x
check "not an address" 2 "not ADDRESS:PORT" -- explain "${on[@]}" tcp shop:80
check "not a header" 2 "not a header" -- explain "${on[@]}" -H oops "$shop/"

check "no agent is a failure that says so" 2 "is weir-agent running?" -- \
	status --admin "$work/none.sock"
for command in "top --once" routes diags dump "explain tcp 10.99.0.1:1"; do
	# shellcheck disable=SC2086 # words
	check "$command without agent" 2 "No such file" \
		"is weir-agent running?" -- $command --admin "$work/none.sock"
done
check "no command" 2 "Usage: weirctl" --
check "unknown command" 2 "unknown command frob" -- frob
check "unknown option" 2 "unknown option --frob" -- routes --frob
check "an option of another command" 2 "unknown option --strict" -- \
	routes --strict
check "wrong value" 2 "--output" -- routes -o yaml
check "help of check says what it reads" 0 "not below it" -- check --help
check "missing argument" 2 "usage: weirctl check" -- check
check "help has examples" 0 "Examples:" "--manifests DIR" -- explain --help
check "completion for bash" 0 "complete -F _weirctl weirctl" -- \
	completion bash
verdict "completion is a bash script" bash -n "$work/out"
exit $status
