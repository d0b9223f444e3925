#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A proxy that does not run for longer than its limits allow.

    paused.py ADDRESS PORT PID SECONDS

It is both the clients of a proxy at ADDRESS:PORT (PID) and, at 127.0.1.1:9101,
its backend.  While the proxy is stopped for SECONDS, the rest comes of 1200
heads, 1200 bodies and 1200 responses, and 1200 clients that were idle ask again;
of each kind one more says nothing.  Prints how many got what they asked for, and
what those got who said nothing.
"""
import os
import signal
import socket
import sys
import time

from stopped import stop

TO, PID = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
SECONDS = float(sys.argv[4])
N = 1200
GET = b"GET /%d HTTP/1.1\r\nHost: t\r\n\r\n"
POST = b"POST /%d HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def connect():
    s = socket.create_connection(TO)
    s.settimeout(10)
    return s


def take(s, end):
    """What comes up to end, or until there is no more."""
    data = b""
    while not data.endswith(end):
        try:
            more = s.recv(4096)
        except ConnectionResetError:
            break
        if not more:
            break
        data += more
    return data


def accept(end):
    """The next request, up to end, and its number."""
    s, _ = listener.accept()
    s.settimeout(10)
    return s, int(take(s, end).split()[1][1:])


def backends(n, end):
    """By number."""
    found = {}
    for _ in range(n):
        s, i = accept(end)
        found[i] = s
    return [found[i] for i in range(n)]


def begun(n, first, end):
    """n requests of which the backend has the first part."""
    clients = [connect() for _ in range(n)]
    for i, c in enumerate(clients):
        c.sendall(first % i)
    return clients, backends(n, end)


def answer(backend, end):
    take(backend, end)
    backend.sendall(OK)


def status(client):
    try:
        data = client.recv(4096)
    except ConnectionResetError:
        data = b""
    return data.split()[1].decode() if data else "closed"


def main():
    idle, idle_backends = begun(N + 1, GET, b"\r\n\r\n")
    for b, c in zip(idle_backends, idle):
        b.sendall(OK)
        take(c, b"ok")
    for b in idle_backends:
        b.close()
    bodies, body_backends = begun(N + 1, POST + b"12", b"12")
    asked, asked_backends = begun(N + 1, GET, b"\r\n\r\n")
    heads = [connect() for _ in range(N + 1)]
    for i, h in enumerate(heads):
        h.sendall((GET % i)[:20])
    time.sleep(0.2)

    stop(PID)
    for b in bodies[:N]:
        b.sendall(b"34")
    for i, h in enumerate(heads[:N]):
        h.sendall((GET % i)[20:])
    for b in asked_backends[:N]:
        b.sendall(OK)
        b.close()  # not to be used again
    for i, c in enumerate(idle[:N]):
        c.sendall(GET % i)
    time.sleep(SECONDS)
    os.kill(PID, signal.SIGCONT)

    silent = [status(kind[N]) for kind in (heads, bodies, asked, idle)]
    served = {"responses": sum(status(c) == "200" for c in asked[:N])}
    n_bodies = 0
    for b in body_backends[:N]:
        if take(b, b"34"):
            n_bodies += 1
            b.sendall(OK)
    served["bodies"] = sum(status(c) == "200" for c in bodies[:n_bodies])
    listener.settimeout(1)
    try:
        while True:
            s, _ = accept(b"\r\n\r\n")
            s.sendall(OK)
            s.close()
    except TimeoutError:
        pass
    served["heads"] = sum(status(c) == "200" for c in heads[:N])
    served["idle"] = sum(status(c) == "200" for c in idle[:N])
    print(*(f"{n} {kind}," for kind, n in served.items()), *silent)


listener = socket.create_server(("127.0.1.1", 9101), backlog=4096)
listener.settimeout(10)
main()
