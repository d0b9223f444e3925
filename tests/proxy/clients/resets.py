# SPDX-License-Identifier: Apache-2.0
"""Connections that are reset while nobody reads from them.

    resets.py ADDRESS PORT CASE ACCESS-LOG PID

It is both the client of a proxy at ADDRESS:PORT and, at 127.0.1.1:9101, its
backend, and says of one of the cases below what each saw.  Nothing moves any
more when the one goes, so the other hears of it only because the proxy does.
"""
import os
import select
import signal
import socket
import struct
import sys
import time

from stopped import stop

PID = int(sys.argv[5])
WAIT = 10  # s; nothing of the proxy's own ends a connection as early
CHUNK = b"8000\r\n%s\r\n" % (b"x" * 0x8000)
GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def fill(s, piece):
    """Until it has taken nothing for a third of a second."""
    n = 0
    s.setblocking(False)
    while select.select([], [s], [], 0.33)[1]:
        try:
            n += s.send(piece[n % len(piece):])
        except BlockingIOError:
            pass
    s.settimeout(WAIT)
    return n


def is_gone(s):
    """It hears of the end though it reads nothing."""
    p = select.poll()
    p.register(s, 0)
    return bool(p.poll(WAIT * 1000))


def is_logged(log):
    """It is over for the proxy."""
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        with open(log) as f:
            if f.read():
                return True
        time.sleep(0.02)
    return False


def rest(s):
    """How it ends, once all is read."""
    n = 0
    try:
        while data := s.recv(1 << 16):
            n += len(data)
        end = "an end"
    except ConnectionError:
        end = "a reset"
    except TimeoutError:
        end = "nothing"
    return "%s after %s" % (end, "much" if n > 100000 else "little")


def pair(request):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.1.1", 9101))
    listener.listen()
    listener.settimeout(WAIT)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    client.settimeout(WAIT)
    client.connect((sys.argv[1], int(sys.argv[2])))
    client.sendall(request)
    backend = listener.accept()[0]
    listener.close()
    backend.settimeout(WAIT)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += backend.recv(1)
    return client, backend


def begin_answer(backend):
    backend.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    fill(backend, CHUNK)


def half_closed_waiting():
    """It has ended its side, and waits for its answer."""
    client, backend = pair(GET)
    client.shutdown(socket.SHUT_WR)
    # The proxy has heard of that when it waits for something else again.
    backend.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.recv(100)
    reset(client)
    return "the backend sees " + rest(backend)


def half_closed_unread():
    """It has ended its side, and reads nothing of its answer."""
    client, backend = pair(GET)
    client.shutdown(socket.SHUT_WR)
    begin_answer(backend)
    reset(client)
    return "the backend sees " + rest(backend)


def ahead_unread():
    """It has sent on, and reads nothing of its answer."""
    client, backend = pair(GET)
    fill(client, GET)
    begin_answer(backend)
    reset(client)
    return "the backend sees " + rest(backend)


def tunnel_backend():
    """A backend goes, whose client reads nothing."""
    client, backend = pair(UPGRADE)
    backend.sendall(UPGRADED)
    fill(backend, CHUNK)
    reset(backend)
    return "the client is told: %s" % is_gone(client)


def tunnel_client():
    """A client goes, whose backend reads nothing."""
    client, backend = pair(UPGRADE)
    backend.sendall(UPGRADED)
    client.recv(len(UPGRADED))
    fill(client, CHUNK)
    reset(client)
    return "over: %s, and the backend sees %s" % (is_logged(sys.argv[4]), rest(backend))


def answer_breaks_off():
    """A backend goes, whose client reads late."""
    client, backend = pair(GET)
    begin_answer(backend)
    reset(backend)
    return "the client sees " + rest(client)


def both_break_off():
    """A backend goes that reads nothing, of a client that reads late."""
    client, backend = pair(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
    fill(client, CHUNK)
    begin_answer(backend)
    reset(backend)
    return "the client sees " + rest(client)


def answer_part(client, backend):
    """Of a response that ends with its connection."""
    backend.sendall(b"HTTP/1.1 200 OK\r\n\r\npart")
    data = b""
    while not data.endswith(b"part"):
        more = client.recv(1 << 16)
        if not more:
            raise EOFError(data[:200])
        data += more


def unread_pair(piece):
    """The backend reads nothing of a request, and has answered in part."""
    client, backend = pair(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
    fill(client, piece)
    answer_part(client, backend)
    return client, backend


def ended_backend():
    """A backend goes that reads nothing, in an answer that ends with its connection."""
    client, backend = unread_pair(CHUNK)
    reset(backend)
    return "the client sees " + rest(client)


def ended_whole():
    """A backend has ended its answer, and goes; the proxy hears of both at once."""
    client, backend = unread_pair(CHUNK)
    stop(PID)
    backend.sendall(b", and the rest")
    backend.shutdown(socket.SHUT_WR)
    time.sleep(0.1)
    reset(backend)
    os.kill(PID, signal.SIGCONT)
    return "the client sees " + rest(client)


def ended_client():
    """A client ends its side in the middle of its request, and of an answer that ends with its connection."""
    client, backend = pair(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n")
    client.sendall(b"part")
    answer_part(client, backend)
    client.shutdown(socket.SHUT_WR)
    return "the client sees " + rest(client)


print(globals()[sys.argv[3]]())
