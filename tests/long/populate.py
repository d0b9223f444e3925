# SPDX-License-Identifier: Apache-2.0
"""A large cluster, written into etcd as the API server would have: tens of
thousands of objects take seconds, not minutes.

	populate.py ETCD ROUTES SERVICES ENDPOINTS OTHERS

ROUTES HTTPRoutes of Gateway gw name two each of SERVICES Services, each of
which has ENDPOINTS endpoints; OTHERS Pods and as many Services with their
EndpointSlices are named by nothing.
"""
import base64
import http.client
import json
import sys
import uuid

etcd, routes, services, endpoints, others = sys.argv[1], *map(int, sys.argv[2:])
connection = http.client.HTTPConnection(etcd)
waiting = []
watched = True


def flush():
	if not waiting:
		return
	connection.request("POST", "/v3/kv/txn", json.dumps({"success": waiting}),
		{"content-type": "application/json"})
	answer = connection.getresponse()
	text = answer.read()
	if answer.status != 200:
		sys.exit(f"etcd: {text.decode()}")
	waiting.clear()


def put(key, kind, api_version, name, labels, rest):
	o = {"kind": kind, "apiVersion": api_version, "metadata": {
		"name": name, "namespace": "default", "uid": str(uuid.uuid4()), "generation": 1,
		"creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels}, **rest}
	waiting.append({"requestPut": {
		"key": base64.b64encode(f"/registry/{key}/default/{name}".encode()).decode(),
		"value": base64.b64encode(json.dumps(o, separators=(",", ":")).encode()).decode()}})
	# Changes of one transaction have one resourceVersion, which no real ones have:
	# a watch might lose some.
	if len(waiting) == (1 if watched else 100):
		flush()


def service(name):
	put("services/specs", "Service", "v1", name, {"app": name}, {"spec": {
		"clusterIP": "None", "clusterIPs": ["None"], "selector": {"app": name},
		"ports": [{"protocol": "TCP", "port": 80, "targetPort": 8080}],
		"type": "ClusterIP", "sessionAffinity": "None", "ipFamilies": ["IPv4"],
		"ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster"},
		"status": {"loadBalancer": {}}})


def slice_of(name, addresses):
	put("endpointslices", "EndpointSlice", "discovery.k8s.io/v1", f"{name}-abcde",
		{"kubernetes.io/service-name": name}, {"addressType": "IPv4",
		"endpoints": [{"addresses": [a], "nodeName": "node-1", "targetRef": {
			"kind": "Pod", "namespace": "default", "name": f"{name}-{i}"},
			"conditions": {"ready": True, "serving": True, "terminating": False}}
			for i, a in enumerate(addresses)],
		"ports": [{"name": "", "protocol": "TCP", "port": 8080}]})


def address(net, i):
	return f"10.{net + i // 62500}.{i // 250 % 250}.{i % 250 + 1}"


for i in range(services):
	service(f"web-{i}")
	slice_of(f"web-{i}", [address(100, i * endpoints + k) for k in range(endpoints)])
for i in range(routes):
	put("gateway.networking.k8s.io/httproutes", "HTTPRoute",
		"gateway.networking.k8s.io/v1", f"route-{i}", {"app": f"route-{i}"}, {"spec": {
		"parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"}],
		"hostnames": [f"h{i}.example.com"], "rules": [{
		"matches": [{"path": {"type": "PathPrefix", "value": "/api"}}],
		"backendRefs": [{"group": "", "kind": "Service", "name": f"web-{(i + k) % services}",
			"port": 80, "weight": 9 - 8 * k} for k in range(2)]}]}})
watched = False
for i in range(others):
	name = f"other-{i}"
	service(name)
	slice_of(name, [address(120, i)])
	put("pods", "Pod", "v1", name, {"app": name}, {"spec": {
		"nodeName": f"node-{i % 100 + 2}", "restartPolicy": "Always",
		"serviceAccountName": "default", "containers": [{"name": "c", "image": "example.com/c:1",
			"resources": {}, "env": [{"name": "A", "value": "b"}],
			"ports": [{"containerPort": 8080, "protocol": "TCP"}]}]},
		"status": {"phase": "Running", "podIP": address(120, i),
			"podIPs": [{"ip": address(120, i)}], "hostIP": "10.240.1.1",
			"conditions": [{"type": "Ready", "status": "True",
				"lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
flush()
