# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# A site with Knative Services, as Serving would name what belongs to them; after
# tests/proxy/lib.sh.
gw=127.0.0.30

# knative_site: a Gateway, where HTTPRoutes of hosts NAME lead to ksvc NAME.
knative_site() {
	mkdir "$dir/site"
	cat >"$dir/site/gateway.yaml" <<-YAML
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
	  addresses: [{type: IPAddress, value: $gw}]
	  listeners: [{name: http, port: 8080, protocol: HTTP}]
	YAML
}

# slice NAME SERVICE PORT ENDPOINT...: its EndpointSlice; an ENDPOINT ADDRESS! is
# not ready.
slice() {
	local name=$1 service=$2 port=$3 list='' e
	shift 3
	for e in "$@"; do
		list="$list{addresses: [${e%!}], conditions: {ready: $([ "${e%!}" = "$e" ] && echo true || echo false)}},"
	done
	cat >"$dir/site/slice-$name.yaml.new" <<-YAML
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: $name, namespace: default, labels: {kubernetes.io/service-name: $service}}
	addressType: IPv4
	ports: [{name: http, port: $port, protocol: TCP}]
	endpoints: [${list%,}]
	YAML
	mv "$dir/site/slice-$name.yaml.new" "$dir/site/slice-$name.yaml"
}

# ksvc NAME [CONCURRENCY] [VIP] [PORT]: with one revision NAME-1 without endpoints;
# it is ready when its program listens at PORT.
ksvc() {
	local name=$1 probe=
	[ -z "${4-}" ] || probe=", readinessProbe: {tcpSocket: {port: $4}}"
	cat >"$dir/site/ksvc-$name.yaml" <<-YAML
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: $name, namespace: default}
	spec:
	  parentRefs: [{name: gw}]
	  hostnames: [$name]
	  rules: [{backendRefs: [{group: serving.knative.dev, kind: Service, name: $name}]}]
	---
	{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: $name, namespace: default}}
	---
	{apiVersion: serving.knative.dev/v1, kind: Revision, metadata: {name: $name-1, namespace: default}, spec: {containerConcurrency: ${2:-0}, containers: [{image: x$probe}]}}
	---
	apiVersion: v1
	kind: Service
	metadata:
	  name: $name
	  namespace: default
	  labels: {serving.knative.dev/route: $name}
	  ownerReferences: [{apiVersion: serving.knative.dev/v1, kind: Route, name: $name}]
	spec: {${3:+clusterIP: $3, }ports: [{name: http, port: 80}]}
	---
	apiVersion: networking.internal.knative.dev/v1alpha1
	kind: Ingress
	metadata: {name: $name, namespace: default, annotations: {networking.knative.dev/ingress.class: weir.ingress.networking.knative.dev}}
	spec:
	  rules:
	  - hosts: [$name.default, $name.default.svc, $name.default.svc.cluster.local]
	    visibility: ClusterLocal
	    http: {paths: [{splits: [{serviceName: $name-1, serviceNamespace: default, servicePort: 80, percent: 100, appendHeaders: {Knative-Serving-Revision: $name-1, Knative-Serving-Namespace: default}}]}]}
	---
	apiVersion: v1
	kind: Service
	metadata: {name: $name-1, namespace: default, labels: {networking.internal.knative.dev/serverlessservice: $name-1, networking.internal.knative.dev/serviceType: Public}}
	spec: {ports: [{name: http, port: 80, targetPort: 8012}]}
	---
	apiVersion: v1
	kind: Service
	metadata: {name: $name-1-private, namespace: default, labels: {networking.internal.knative.dev/serverlessservice: $name-1, networking.internal.knative.dev/serviceType: Private}}
	spec: {ports: [{name: http, port: 80, targetPort: 8012}]}
	YAML
}

# becomes COUNTER VALUE: within five seconds.
becomes() {
	for _ in $(seq 250); do
		[ "$(stat_of "$1")" = "$2" ] && return 0
		sleep 0.02
	done
	echo "# $1: $(stat_of "$1"), not $2"
	return 1
}

# ask HOST [CURL-ARG...]: in the background; "CODE NAME SECONDS" of its answer in
# file $dir/answer.$asked.
asked=0
path=/echo
ask() {
	local host=$1
	shift
	asked=$((asked + 1))
	curl -s -m 20 -H "Host: $host" "$@" -w '\n%{http_code} %{time_total}' \
		"http://$gw:8080$path" >"$dir/answer.$asked" 2>/dev/null 3>&- &
	last=$!
}

# knative_serving AUTOSCALER ACTIVATOR: Serving's own Services, at these
# addresses.
knative_serving() {
	cat >"$dir/site/serving.yaml" <<-YAML
	apiVersion: v1
	kind: Service
	metadata: {name: autoscaler, namespace: knative-serving}
	spec: {ports: [{name: http, port: 8080}]}
	---
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: autoscaler-1, namespace: knative-serving, labels: {kubernetes.io/service-name: autoscaler}}
	addressType: IPv4
	ports: [{name: http, port: 8080, protocol: TCP}]
	endpoints: [{addresses: [$1], conditions: {ready: true}}]
	---
	apiVersion: v1
	kind: Service
	metadata: {name: activator-service, namespace: knative-serving}
	spec: {ports: [{name: http, port: 80, targetPort: 8012}]}
	---
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: activator-1, namespace: knative-serving, labels: {kubernetes.io/service-name: activator-service}}
	addressType: IPv4
	ports: [{name: http, port: 8012, protocol: TCP}]
	endpoints: [{addresses: [$2], conditions: {ready: true}}]
	YAML
}
