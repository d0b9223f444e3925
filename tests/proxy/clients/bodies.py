# SPDX-License-Identifier: Apache-2.0
"""Pieces of many bodies at once, and one short request behind them.

    bodies.py ADDRESS PORT PID

It is both the clients of a proxy at ADDRESS:PORT with one worker (PID) and, at
127.0.1.1:9101, its backend.  The proxy is stopped while each of 200 requests
gets the next piece of its body and then another client sends a request, so that
it finds all of them in one turn.  Prints how many pieces had come to the backend
before the request (as the kernel stamped them), and that all came, in whole.
"""
import os
import signal
import socket
import struct
import sys

from stopped import stop

TO, PID = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
BODIES = 200
PIECES = [b"a" * 100, b"b" * 100, b"c" * 100]
POST = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 300\r\n\r\n"
GET = b"GET /short HTTP/1.1\r\nHost: t\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SO_TIMESTAMPNS = 35


def connect():
    s = socket.create_connection(TO)
    s.settimeout(10)
    return s


def accept(backend):
    s = backend.accept()[0]
    s.settimeout(10)
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return s


def take(s, end, before=b""):
    """What comes up to end, and when its last byte did."""
    data, at = before, 0.0
    while not data.endswith(end):
        more, notes, _, _ = s.recvmsg(65536, 128)
        if not more:
            raise EOFError(data[:200])
        data += more
        for _, kind, stamp in notes:
            if kind == SO_TIMESTAMPNS:
                sec, ns = struct.unpack("qq", stamp[:16])
                at = sec + ns / 1e9
    return data, at


backend = socket.create_server(("127.0.1.1", 9101), backlog=512)
backend.settimeout(10)
bodies = []
for _ in range(BODIES):
    c = connect()
    c.sendall(POST + PIECES[0])
    s = accept(backend)
    bodies.append((c, s, take(s, PIECES[0])[0]))
short = connect()
stop(PID)
for c, _, _ in bodies:
    c.sendall(PIECES[1])
short.sendall(GET)
os.kill(PID, signal.SIGCONT)
asked = accept(backend)
_, asked_at = take(asked, b"\r\n\r\n")
asked.sendall(OK)
before = whole = 0
taken = []
for c, s, data in bodies:
    data, at = take(s, PIECES[1], data)
    before += at < asked_at
    taken.append((c, s, data))
# And all of the rest, at once again.
stop(PID)
for c, _, _ in taken:
    c.sendall(PIECES[2])
os.kill(PID, signal.SIGCONT)
for c, s, data in taken:
    data, _ = take(s, PIECES[2], data)
    whole += data.endswith(b"\r\n\r\n" + b"".join(PIECES))
    s.sendall(OK)
    answer = b""
    while not answer.endswith(b"ok"):
        answer += c.recv(4096) or b"gone ok"
    whole -= not answer.startswith(b"HTTP/1.1 200")
print(f"{before} before, {whole} whole")
