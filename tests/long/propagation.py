# SPDX-License-Identifier: Apache-2.0
"""How long a new route takes to be served, by a client that asks all the time.

	propagation.py URL CA CERT KEY GATEWAY add FIRST N
	propagation.py URL CA CERT KEY GATEWAY measure FIRST N PAUSE_MS

add creates the routes rI one by one.  measure creates them likewise, and asks
for each all the time: how long, in microseconds, after the event came in a watch
of our own was the first answer 200?  And how long after the creation was
answered?  What is neither 404 nor 200 is counted as odd.
"""
import json
import socket
import ssl
import statistics
import sys
import threading
import time

url, ca, cert, key, gateway, what = sys.argv[1:7]
first, count = int(sys.argv[7]), int(sys.argv[8])
pause = int(sys.argv[9]) / 1000 if len(sys.argv) > 9 else 0
host, port = url.removeprefix("https://").split(":")
PATH = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes"
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(cert, key)


def now():
	return time.monotonic_ns() // 1000


def to_api():
	raw = socket.create_connection((host, int(port)))
	raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
	return context.wrap_socket(raw, server_hostname=host)


def to_gateway():
	s = socket.create_connection((gateway, 80))
	s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
	return s


def head(stream):
	"""Status, and what the head says of the body."""
	status = int(stream.readline().split()[1])
	length = 0
	while (line := stream.readline()) not in (b"\r\n", b""):
		name, _, value = line.partition(b":")
		if name.lower() == b"content-length":
			length = int(value)
		elif name.lower() == b"transfer-encoding":
			length = -1
	return status, length


def answer(stream):
	status, length = head(stream)
	while length < 0:
		n = int(stream.readline(), 16)
		stream.read(n + 2)
		if n == 0:
			return status
	stream.read(length)
	return status


class Api:
	def __init__(self):
		self.socket = to_api()
		self.stream = self.socket.makefile("rb")

	def create(self, i):
		body = json.dumps({
			"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
			"metadata": {"name": f"r{i}", "namespace": "default"},
			"spec": {"parentRefs": [{"name": "gw"}], "hostnames": [f"r{i}.example.com"],
				"rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
					"backendRefs": [{"name": "web", "port": 80}]}]}}).encode()
		self.socket.sendall(b"POST %s HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
			b"content-length: %d\r\n\r\n%s" % (PATH.encode(), len(body), body))
		status = answer(self.stream)
		if status != 201:
			sys.exit(f"r{i} is not created: {status}")


class Watch(threading.Thread):
	"""When a route's event came."""

	def __init__(self):
		super().__init__(daemon=True)
		api = Api()
		api.socket.sendall(b"GET %s?limit=1 HTTP/1.1\r\nhost: a\r\n\r\n" % PATH.encode())
		_, length = head(api.stream)
		text = b""
		while length < 0 and (n := int(api.stream.readline(), 16)):
			text += api.stream.read(n + 2)[:-2]
		version = json.loads(text or api.stream.read(length))["metadata"]["resourceVersion"]
		api = Api()
		api.socket.sendall(b"GET %s?watch=1&resourceVersion=%s HTTP/1.1\r\nhost: a\r\n\r\n"
			% (PATH.encode(), version.encode()))
		head(api.stream)
		self.stream = api.stream
		self.api = api
		self.seen = {}
		self.start()

	def run(self):
		text = b""
		while n := int(self.stream.readline(), 16):
			text += self.stream.read(n + 2)[:-2]
			at = now()
			*events, text = text.split(b"\n")
			for event in map(json.loads, events):
				if event["type"] == "ADDED":
					self.seen[event["object"]["metadata"]["name"]] = at


class Client(threading.Thread):
	"""Asks for a route until it is served."""

	def __init__(self):
		super().__init__(daemon=True)
		self.socket = to_gateway()
		self.stream = self.socket.makefile("rb")
		self.odd = 0

	def until_served(self, i, give_up):
		text = b"GET / HTTP/1.1\r\nhost: r%d.example.com\r\n\r\n" % i
		while now() < give_up:
			self.socket.sendall(text)
			status = answer(self.stream)
			if status == 200:
				return now()
			self.odd += status != 404
		return None


def measure():
	api, watch, client = Api(), Watch(), Client()
	waits, from_creation = [], []
	for i in range(first, first + count):
		result = []
		asker = threading.Thread(target=lambda: result.append(
			client.until_served(i, now() + 10_000_000)))
		asker.start()
		time.sleep(0.005)
		api.create(i)
		created = now()
		asker.join()
		if not result or result[0] is None:
			sys.exit(f"r{i} is not served within 10 s")
		deadline = now() + 5_000_000
		while f"r{i}" not in watch.seen and now() < deadline:
			time.sleep(0.001)
		waits.append(result[0] - watch.seen[f"r{i}"])
		from_creation.append(result[0] - created)
		time.sleep(pause)
	waits.sort()
	from_creation.sort()
	print(json.dumps({"n": count, "odd": client.odd,
		"median_us": int(statistics.median(waits)),
		"p90_us": waits[int(len(waits) * 0.9)],
		"p99_us": waits[min(int(len(waits) * 0.99), len(waits) - 1)],
		"max_us": waits[-1],
		"after_creation_median_us": int(statistics.median(from_creation))}))


def add():
	api = Api()
	began = now()
	for i in range(first, first + count):
		api.create(i)
	print(json.dumps({"n": count, "seconds": (now() - began) / 1e6}))


{"add": add, "measure": measure}[what]()
