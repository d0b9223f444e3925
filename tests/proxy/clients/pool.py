# SPDX-License-Identifier: Apache-2.0
"""Ends a pooled connection between the events of a turn and its use.

    pool.py ADDRESS PORT PID METHOD

It is both the clients of a proxy at ADDRESS:PORT with one worker (PID) and, at
127.0.1.1:9101, its backend.  The proxy is stopped while a request with a body,
much that keeps it busy, and another request are sent, so that it finds all of
them in one turn.
The first takes one of two pooled connections; when it arrives, the backend ends
the other one, which the second would take.
"""
import os
import select
import signal
import socket
import sys
import time

from stopped import stop

TO, PID = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
REQUEST = sys.argv[4].encode() + b" / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx"
BUSY = (b"GET / HTTP/1.1\r\nHost: nobody\r\n" + b"X-Field: value\r\n" * 90 + b"\r\n") * 4
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
WANTED, ROUNDS = 10, 200


def until(s, end, n=1):
    data = b""
    while data.count(end) < n:
        more = s.recv(65536)
        if not more:
            raise EOFError(data[:200])
        data += more
    return data


def connect():
    s = socket.create_connection(TO)
    s.settimeout(10)
    return s


def came(s):
    """Something of a request, which did not wait for that s had ended."""
    try:
        return bool(s.recv(65536))
    except ConnectionResetError:
        return False


def accept(backend):
    s = backend.accept()[0]
    s.settimeout(10)
    return s


def answer(s, c):
    until(s, b"\r\n\r\nx")
    s.sendall(OK)
    until(c, b"ok")


def turn(backend):
    """True: the second request went by the connection that had ended; None: it was
    on its way before that."""
    clients = [connect() for _ in range(2)]
    busy = [connect() for _ in range(12)]
    # Two at a time, for two in the pool.
    for c in clients:
        c.sendall(REQUEST)
    pooled = [accept(backend) for _ in clients]
    for s in pooled:
        until(s, b"\r\n\r\nx")
        s.sendall(OK)
    for c in clients:
        until(c, b"ok")
    time.sleep(0.02)
    stop(PID)
    clients[0].sendall(REQUEST)
    for c in busy:
        c.sendall(BUSY)
    clients[1].sendall(REQUEST)
    os.kill(PID, signal.SIGCONT)
    first = select.select(pooled, [], [], 10)[0][0]
    other = pooled[first == pooled[0]]
    other.shutdown(socket.SHUT_WR)
    other.setblocking(False)
    try:
        if came(other):
            return None
    except BlockingIOError:
        pass
    other.settimeout(10)
    answer(first, clients[0])
    if came(other):
        return True
    answer(accept(backend), clients[1])
    for c in busy:
        until(c, b"no route\n", 4)
    return False


backend = socket.create_server(("127.0.1.1", 9101))
backend.settimeout(10)
ended = written = 0
for _ in range(ROUNDS):
    if ended == WANTED:
        break
    was_written = turn(backend)
    ended += was_written is not None
    written += was_written is True
    time.sleep(0.02)  # the proxy knows that all of these are gone
print(f"{ended} ended, {written} of them written to")
