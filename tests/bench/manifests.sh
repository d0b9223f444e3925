# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # work, sets: set by run
# What weir is given to serve in each target of tests/bench/run.

service() { # NAME PORT ADDR...
	local name=$1 port=$2 a
	shift 2
	cat <<-EOF
		---
		apiVersion: v1
		kind: Service
		metadata: {name: $name, namespace: default}
		spec: {ports: [{port: $port, protocol: ${proto:-TCP}}]}
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata:
		  name: $name
		  namespace: default
		  labels: {kubernetes.io/service-name: $name}
		addressType: IPv4
		ports: [{port: $port, protocol: ${proto:-TCP}}]
		endpoints:
	EOF
	for a in "$@"; do echo "- {addresses: [$a], nodeName: bench}"; done
}

gateway() { # ADDRESS PROTOCOL:PORT...
	local address=$1 l
	shift
	cat <<-EOF
		---
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
		  addresses: [{value: $address}]
		  listeners:
	EOF
	for l in "$@"; do
		echo "  - {name: l${l#*:}, protocol: ${l%:*}, port: ${l#*:}}"
	done
}

route() { # KIND NAME LISTENER BACKEND:PORT:WEIGHT...
	local kind=$1 name=$2 section=$3 b version=v1 refs=''
	shift 3
	case $kind in TCPRoute | UDPRoute) version=v1alpha2 ;; esac
	for b in "$@"; do
		refs="$refs{name: ${b%%:*}, port: $(echo "$b" | cut -d: -f2), weight: ${b##*:}}, "
	done
	cat <<-EOF
		---
		apiVersion: gateway.networking.k8s.io/$version
		kind: $kind
		metadata: {name: $name, namespace: default}
		spec:
		  parentRefs: [{name: gw, sectionName: $section}]
		  ${hostname:+hostnames: [$hostname]}
		  rules: [{backendRefs: [${refs%, }]}]
	EOF
}

manifests_connect() {
	local dir=$work/m-connect
	mkdir -p "$dir"
	{
		gateway 10.99.100.1 TCP:80 UDP:5353
		service web "$connect_port" 10.99.9.2
		# 64 endpoints, as the bar asks; a UDP connect sends nothing.
		# shellcheck disable=SC2046
		proto=UDP service dns 5353 $(seq -f '10.99.9.%g' 2 65)
		route TCPRoute web l80 "web:$connect_port:1"
		route UDPRoute dns l5353 dns:5353:1
	} >"$dir/all.yaml"
	echo "$dir"
}

manifests_packet() { # GATEWAY
	local dir=$work/m-$1 port
	port=$(port_of "$1")
	mkdir -p "$dir"
	{
		gateway "$(vip "$1")" TCP:80
		service a "$port" "$(backend "$1" 2)"
		service b "$port" "$(backend "$1" 3)"
		route TCPRoute web l80 "a:$port:90" "b:$port:10"
	} >"$dir/all.yaml"
	echo "$dir"
}

manifests_proxy() { # GATEWAY
	local dir=$work/m-$1 port
	port=$(port_of "$1")
	mkdir -p "$dir"
	{
		gateway "$(vip "$1")" HTTP:80
		service a "$port" "$(backend "$1" 2)"
		service b "$port" "$(backend "$1" 3)"
		route HTTPRoute web l80 "a:$port:90" "b:$port:10"
	} >"$dir/all.yaml"
	echo "$dir"
}

# One HTTPRoute with one host and one path prefix for each of ROUTES routes.
manifests_routes() { # ROUTES
	local dir=$work/m-routes-$1 port i
	port=$(port_of w)
	if [ ! -d "$dir" ]; then
		mkdir -p "$dir"
		{
			gateway "$(vip w)" HTTP:80
			for i in 0 1 2 3 4 5 6 7 8 9; do
				service "a$i" $((port + i)) "$(backend w 2)"
				service "b$i" $((port + i)) "$(backend w 3)"
			done
			awk -v "n=$1" -v "sets=$sets" -v "port=$port" 'BEGIN {
				for (i = 0; i < n; i++) {
					printf "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
					printf "metadata: {name: r%d, namespace: default}\nspec:\n", i
					printf "  parentRefs: [{name: gw, sectionName: l80}]\n"
					printf "  hostnames: [h%d.example.com]\n  rules:\n", i / 10
					printf "  - matches: [{path: {type: PathPrefix, value: /p%d}}]\n", i % 10
					printf "    backendRefs: [{name: a%d, port: %d, weight: 90}, {name: b%d, port: %d, weight: 10}]\n", \
						i % sets, port + i % sets, i % sets, port + i % sets
				} }'
		} >"$dir/all.yaml"
	fi
	echo "$dir"
}

# 5 000 HTTPRoutes, each a host and two weighted backends, over 1 000 Services
# with 10 endpoints each: one file per object.
manifests_5000() {
	local dir=$work/m5000 port
	port=$(port_of "$1")
	mkdir -p "$dir"
	gateway "$(vip "$1")" HTTP:80 >"$dir/gateway.yaml"
	service a "$port" "$(backend "$1" 2)" >"$dir/service-a.yaml"
	service b "$port" "$(backend "$1" 3)" >"$dir/service-b.yaml"
	awk -v dir="$dir" 'BEGIN {
		for (i = 1; i <= 1000; i++) {
			f = dir "/service-" i ".yaml"
			printf "apiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: default}\nspec:\n  ports:\n  - port: 80\n", i > f
			close(f)
			f = dir "/slice-" i ".yaml"
			printf "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: s%d\n  namespace: default\n  labels:\n    kubernetes.io/service-name: s%d\naddressType: IPv4\nports:\n- port: 8080\nendpoints:\n", i, i > f
			for (j = 0; j < 10; j++)
				printf "- addresses: [10.%d.%d.%d]\n  nodeName: node-%d\n", 100 + int(i / 250), i % 250, j + 1, j > f
			close(f)
		}
		for (i = 2; i <= 5000; i++) {
			f = dir "/route-" i ".yaml"
			printf "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: r%d\n  namespace: default\nspec:\n  parentRefs:\n  - name: gw\n  hostnames:\n  - r%d.example.com\n  rules:\n  - matches:\n    - path:\n        type: PathPrefix\n        value: /\n    backendRefs:\n    - name: s%d\n      port: 80\n      weight: 90\n    - name: s%d\n      port: 80\n      weight: 10\n", i, i, i % 1000 + 1, (i + 7) % 1000 + 1 > f
			close(f)
		}
	}'
	hostname=r1.example.com route HTTPRoute r1 l80 "a:$port:1" "b:$port:0" >"$work/edit-a.yaml"
	hostname=r1.example.com route HTTPRoute r1 l80 "a:$port:0" "b:$port:1" >"$work/edit-b.yaml"
	cp "$work/edit-a.yaml" "$dir/route-1.yaml"
}

