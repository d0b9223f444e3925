# SPDX-License-Identifier: Apache-2.0
"""Pieces of many bodies at once, and what else there is beside them.

    bodies.py ADDRESS PORT PID CASE

It is both the clients of a proxy at ADDRESS:PORT with one worker (PID) and, at
127.0.1.1:9101, its backend.  The proxy is stopped while each of many requests
gets the next piece of its body, and while that happens which a case below is
about, so that it finds all of it in one turn.  Says what came before what (as
the kernel stamped it), and how many bodies came in whole and were answered.
"""
import os
import select
import signal
import socket
import struct
import sys
from dataclasses import dataclass

from stopped import stop

TO, PID = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
PIECES = [b"a" * 100, b"b" * 100, b"c" * 100]
POST = b"POST /%d HTTP/1.1\r\nHost: t\r\nContent-Length: 300\r\n\r\n"
GET = b"GET /short HTTP/1.1\r\nHost: t\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SO_TIMESTAMPNS = 35


@dataclass
class Body:
    client: socket.socket
    backend: socket.socket
    data: bytes  # what came there


def stamped(s):
    s.settimeout(10)
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return s


def connect():
    return stamped(socket.create_connection(TO))


def accept():
    return stamped(listener.accept()[0])


def proceed():
    os.kill(PID, signal.SIGCONT)


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


def begin(n):
    """n requests, of which the backend has the head and a piece."""
    clients = [connect() for _ in range(n)]
    for i, c in enumerate(clients):
        c.sendall(POST % i + PIECES[0])
    bodies = []
    for _ in clients:
        s = accept()
        data, _ = take(s, PIECES[0])
        bodies.append(Body(clients[int(data.split()[1][1:])], s, data))
    return bodies


def send(bodies, piece):
    for b in bodies:
        b.client.sendall(piece)


def before(bodies, piece, at):
    """How many bodies had the piece before the time at."""
    n = 0
    for b in bodies:
        b.data, came = take(b.backend, piece, b.data)
        n += came < at
    return n


def asked():
    """The next short request: when the backend had it; it is answered."""
    s = accept()
    _, at = take(s, b"\r\n\r\n")
    s.sendall(OK)
    return at


def whole(bodies):
    """The rest of all, at once again: how many came in whole."""
    n = 0
    stop(PID)
    send(bodies, PIECES[2])
    proceed()
    for b in bodies:
        b.data, _ = take(b.backend, PIECES[2], b.data)
        b.backend.sendall(OK)
        answer, _ = take(b.client, b"ok")
        n += (b.data.endswith(b"\r\n\r\n" + b"".join(PIECES)) and
              answer.startswith(b"HTTP/1.1 200"))
    return n


def short():
    """Another client asks for something, behind all pieces."""
    bodies, other = begin(200), connect()
    stop(PID)
    send(bodies, PIECES[1])
    other.sendall(GET)
    proceed()
    n = before(bodies, PIECES[1], asked())
    return f"{n} before, {whole(bodies)} whole"


def share():
    """160 others ask for something, behind all pieces."""
    bodies, others = begin(80), [connect() for _ in range(160)]
    stop(PID)
    send(bodies, PIECES[1])
    for o in others:
        o.sendall(GET)
    proceed()
    n = before(bodies, PIECES[1], max(asked() for _ in others))
    return f"{n} before, {whole(bodies)} whole"


def reset():
    """The last one goes after its piece; the next client waits for its place
    (max_connections=201)."""
    bodies, other = begin(201), connect()
    gone = bodies.pop()
    other.sendall(GET)
    stop(PID)
    send(bodies + [gone], PIECES[1])
    gone.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                           struct.pack("ii", 1, 0))
    gone.client.close()
    proceed()
    n = before(bodies, PIECES[1], asked())
    while gone.backend.recv(4096):
        pass
    return f"{n} before, {whole(bodies)} whole"


def room():
    """The last one's response waits for room, and gets it with the piece."""
    bodies = begin(201)
    slow = bodies.pop()
    slow.backend.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    slow.backend.setblocking(False)
    while select.select([], [slow.backend], [], 0.3)[1]:
        slow.backend.send(bytes(65536))
    stop(PID)
    send(bodies + [slow], PIECES[1])
    while select.select([slow.client], [], [], 0.1)[0]:
        slow.client.recv(1 << 20)
    proceed()
    _, at = take(slow.client, b"\0")
    n = before(bodies, PIECES[1], at)
    return f"{n} before, {whole(bodies)} whole"


listener = socket.create_server(("127.0.1.1", 9101), backlog=512)
listener.settimeout(10)
print(globals()[sys.argv[4]]())
