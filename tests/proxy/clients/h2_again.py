# SPDX-License-Identifier: Apache-2.0
"""Requests that a backend of HTTP/2 did not look at, and some that it may have.

    h2_again.py ADDRESS PORT PID

It is both a client of HTTP/1.1 of a proxy at ADDRESS:PORT with one worker (PID)
and its backend, of the host "again", at 127.0.1.1:9134.  Prints TAP lines.
"""
import contextlib
import os
import signal
import socket
import sys
import time

from h2_hand import (DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST, SETTINGS, WINDOW, Conn, field, ok)
from stopped import stop

TO, PID = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
REFUSED_STREAM, CANCEL = 7, 8
MAX_CONCURRENT_STREAMS = b"\0\3"
LISTENER = socket.create_server(("127.0.1.1", 9134))
LISTENER.settimeout(10)


class Backend(Conn):
    """One of its connections."""

    def __init__(self, is_silent=False):
        super().__init__(None, None, LISTENER.accept()[0])
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while len(self.buf) < len(PREFACE):
            self.buf += self.s.recv(65536)
        self.buf = self.buf[len(PREFACE):]
        if not is_silent:
            self.settle()
        self.last = 0

    def settle(self, settings=b""):
        """Its first frame, and that it has had the proxy's."""
        self.send(SETTINGS, 0, 0, settings)
        self.send(SETTINGS, 1)

    def request(self, stream=None, is_whole=True):
        """(its stream, what came of its body) of the next one, or the rest of a
        stream's; up to its end, or its first DATA."""
        body = b""
        while f := self.frame():
            if f[0] == HEADERS:
                stream = f[2]
            if f[0] == DATA and f[2] == stream:
                body += f[3]
                for of in (0, stream) if f[3] else ():
                    self.send(WINDOW, 0, of, len(f[3]).to_bytes(4, "big"))
            if f[2] == stream and f[0] in (HEADERS, DATA) and (f[1] & END_STREAM or body and not is_whole):
                return stream, body
        return None, body

    def answer(self, stream, body=b"ok"):
        self.send(HEADERS, END_HEADERS, stream, field(b":status", b"200"))
        self.send(DATA, END_STREAM, stream, body)
        self.last = stream

    def reset(self, stream, code):
        self.send(RST, 0, stream, code.to_bytes(4, "big"))

    def goaway(self):
        """The last that counts is the last one that was answered."""
        self.send(GOAWAY, 0, 0, self.last.to_bytes(4, "big") + bytes(4))


def head(method, length=None):
    framing = f"Content-Length: {length}\r\n" if length is not None else "Transfer-Encoding: chunked\r\n"
    return f"{method} / HTTP/1.1\r\nHost: again\r\n{framing}\r\n".encode()


def connect():
    s = socket.create_connection(TO)
    s.settimeout(10)
    return s


def status(s):
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            more = s.recv(65536)
            if not more:
                return None
            data += more
    except OSError as e:
        return repr(e)
    return int(data.split()[1])


def warm():
    """A connection that has answered, with none under way."""
    with connect() as c:
        c.sendall(head("GET", 0))
        b = Backend()
        b.answer(b.request()[0])
        assert status(c) == 200
    return b


def second(backend):
    """What backend() has of a request that comes within a second, and has its
    answer; None: none comes."""
    LISTENER.settimeout(1)
    try:
        b = backend()
        b.s.settimeout(1)
        stream, body = b.request()
        b.answer(stream)
        return b, body
    except OSError:
        return None, None
    finally:
        LISTENER.settimeout(10)


def once(method, body, what):
    """What comes again of a request that does not get an answer, and what its
    client has."""
    b = warm()
    with b.s, connect() as c:
        c.sendall(head(method, len(body)) + body)
        what(b, b.request()[0])
        again, got = second(Backend if what is go else lambda: b)
        said = status(c)
        if again:
            again.s.close()
    return got, said


def refuse(b, stream):
    b.reset(stream, REFUSED_STREAM)


def cancel(b, stream):
    b.reset(stream, CANCEL)


def go(b, _):
    b.goaway()


def in_pieces():
    """A body that is on its way when its stream is refused."""
    b = warm()
    with b.s, connect() as c:
        c.sendall(head("POST") + b"3\r\nabc\r\n")
        refuse(b, b.request(is_whole=False)[0])
        stream, got = b.request(is_whole=False)
        c.sendall(b"3\r\ndef\r\n0\r\n\r\n")
        got += b.request(stream)[1]
        b.answer(stream)
        return got, status(c)


def ended(method):
    """In one turn: a request, and the end of the connection that it would take."""
    b = warm()
    with b.s, connect() as c:
        time.sleep(0.05)  # all else that came has had its turn
        stop(PID)
        c.sendall(head(method, 4) + b"body")
        b.s.shutdown(socket.SHUT_WR)
        os.kill(PID, signal.SIGCONT)
        again, got = second(Backend)
        said = status(c)
        if again:
            again.s.close()
    return got, said


def take(b, n):
    """All requests that come to b, which takes n and refuses the others."""
    streams = []
    b.s.settimeout(0.3)
    try:
        while (stream := b.request()[0]):
            streams.append(stream)
    except TimeoutError:
        pass
    b.settle(MAX_CONCURRENT_STREAMS + n.to_bytes(4, "big"))
    for stream in streams[n:]:
        refuse(b, stream)
    return streams[:n]


def many(n, most, connections):
    """n requests at once for a backend that takes so many on each of so many
    connections, which say so late, one after the other."""
    with contextlib.ExitStack() as all_of_them:
        clients = [all_of_them.enter_context(connect()) for _ in range(n)]
        for c in clients:
            c.sendall(head("GET", 0))
        taken = []
        LISTENER.settimeout(1)
        try:
            for _ in range(connections):
                b = Backend(is_silent=True)
                all_of_them.enter_context(b.s)
                taken.append((b, take(b, most)))
        except TimeoutError:
            pass
        LISTENER.settimeout(10)
        for b, streams in taken:
            for stream in streams:
                b.answer(stream)
        return [status(c) for c in clients]


for method in ("GET", "POST"):
    for size in (0, 4, 6000):
        for name, what in (("REFUSED_STREAM", refuse), ("GOAWAY", go)):
            got = once(method, b"b" * size, what)
            ok(got == (b"b" * size, 200), f"{name}: {method} with {size} bytes is sent again", got)
got = in_pieces()
ok(got == (b"abcdef", 200), "REFUSED_STREAM: in the middle of a body", got)
got = once("POST", b"b" * 20000, refuse)
ok(got == (None, 502), "REFUSED_STREAM: what is larger than a buffer is not sent again", got)
got = once("POST", b"body", cancel)
ok(got == (None, 502), "CANCEL: POST is not sent again", got)
got = once("PUT", b"body", cancel)
ok(got == (None, 502), "CANCEL: nor is PUT with a body", got)
for method in ("GET", "POST"):
    got = ended(method)
    ok(got == (b"body", 200), f"its connection ends in the same turn: {method} goes by another one", got)
got = many(120, 40, 3)
ok(got == [200] * 120, "a connection gets no more requests than another one is known to take",
   [got.count(s) for s in (200, 502)])
got = many(6, 2, 3)
ok(got == [200] * 6, "nor does a new one, than the last one took", got)
