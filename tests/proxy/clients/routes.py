#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many routes, asked for one at a time and many at once.

  routes.py site HOSTS >FILE            the manifests: 14 rules a host
  routes.py ask HOSTS ADDR PORT PID     asks, and says how many answers differ

Each rule adds its name to the response, so a client sees which one decided.
Many at once: the proxy (PID) is stopped while the requests are sent, so that it
finds all of them in one turn."""
import os
import random
import signal
import socket
import sys

PATHS = [f"/p{i}" for i in range(10)] + ["/p1/deep/and/deeper/still"]


def rule(name, path, kind="PathPrefix", header=""):
    return f"""\
  - matches: [{{path: {{type: {kind}, value: {path}}}{header}}}]
    filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier: {{set: [{{name: x-rule, value: {name}}}]}}
    backendRefs: [{{name: one, port: 80}}]
"""


def site(hosts):
    print("""\
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
  addresses: [{type: IPAddress, value: 127.0.0.30}]
  listeners: [{name: http, port: 8080, protocol: HTTP}]""")
    for h in [f"h{i}.example" for i in range(hosts)] + ['"*.wild.example"']:
        name = h.strip('"*.').replace(".", "-")
        print(f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: default}}
spec:
  parentRefs: [{{name: gw}}]
  hostnames: [{h}]
  rules:
""", end="")
        for path in PATHS:
            print(rule(name + path, path), end="")
        print(rule(name + "-exact", "/p2/exact", "Exact"), end="")
        print(rule(name + "-regex", '"/p3/[0-9]+"', "RegularExpression"), end="")
        print(rule(name + "-header", "/p4", "PathPrefix",
                   ", headers: [{name: x-v, value: two}]"), end="")


def requests(hosts, n):
    """Requests that name their rule in every way that there is."""
    some = random.Random(1)
    for _ in range(n):
        host = f"h{some.randrange(hosts)}.example"
        rule_of = host.replace(".", "-")
        k = some.randrange(10)
        yield from [
            f"GET /p{k} HTTP/1.1\r\nHost: {host}\r\n\r\n",
            f"GET /p{k}/x/y?z=/p1 HTTP/1.1\r\nhost:{host}:8080\r\nA: b\r\n\r\n",
            f"GET /p{k} HTTP/1.1\r\nA: b\r\nHost: {host.upper()}\r\n\r\n",
            f"GET http://{host}/p{k} HTTP/1.1\r\nHost: {host}\r\n\r\n",
            f"GET /p1/deep/and/deeper/still/1 HTTP/1.1\r\nHost: {host}\r\n\r\n",
            f"GET /p2/exact HTTP/1.1\r\nHost: {host}\r\n\r\n",
            f"GET /p3/{k} HTTP/1.1\r\nHost: {host}.\r\n\r\n",
            f"GET /p4 HTTP/1.1\r\nHost: {host}\r\nX-V: two\r\n\r\n",
            f"GET /p4 HTTP/1.1\r\nHost: {host}\r\nX-V: {rule_of}\r\n\r\n",
            f"GET /p{k} HTTP/1.1\r\nHost: {k}.wild.example\r\n\r\n",
            f"GET /p{k}{k} HTTP/1.1\r\nHost: {host}\r\n\r\n",
            f"GET /p{k} HTTP/1.1\r\nHost: no.{host}\r\n\r\n",
            f"GET  /p{k} HTTP/1.1\r\nHost: {host}\r\n\r\n",
        ]


def answer(s):
    """Status and rule of the next response."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            got = s.recv(65536)
        except ConnectionError:
            return "reset"
        if not got:
            return "closed"
        data += got
    head, body = data.split(b"\r\n\r\n", 1)
    fields = dict(line.lower().split(b": ", 1)
                  for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields.get(b"content-length", 0)):
        body += s.recv(65536)
    return f"{head.split()[1].decode()} {fields.get(b'x-rule', b'').decode()}"


def ask(hosts, to, pid):
    asked = list(requests(hosts, 40))
    alone = []
    for r in asked:
        with socket.create_connection(to) as s:
            s.sendall(r.encode())
            alone.append(answer(s))
    differ = 0
    for turn in range(3):
        order = list(range(len(asked)))
        random.Random(turn).shuffle(order)
        for first in range(0, len(order), 60):
            some = order[first:first + 60]
            ends = [socket.create_connection(to) for _ in some]
            for s in ends:  # its connection is known, and waits for requests
                s.sendall(b"GET /p0 HTTP/1.1\r\nHost: h0.example\r\n\r\n")
                answer(s)
            os.kill(pid, signal.SIGSTOP)
            for s, i in zip(ends, some):
                s.sendall(asked[i].encode())
            os.kill(pid, signal.SIGCONT)
            for s, i in zip(ends, some):
                is_ = answer(s)
                if is_ != alone[i]:
                    differ += 1
                    print(f"{asked[i]!r}: {is_}, alone {alone[i]}")
                s.close()
    kinds = sorted({a.split()[0] for a in alone})
    print(f"differ={differ} rules={len(set(alone))} statuses={','.join(kinds)}")


if sys.argv[1] == "site":
    site(int(sys.argv[2]))
else:
    ask(int(sys.argv[2]), (sys.argv[3], int(sys.argv[4])), int(sys.argv[5]))
