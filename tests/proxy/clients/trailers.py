#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trailers that come in part, through the proxy to a stream of HTTP/2.

    trailers.py call ADDR PORT BUFFER   prints TAP lines
    trailers.py h1 ADDR PORT            a backend of HTTP/1.1; prints "ready"
    trailers.py h2 ADDR PORT            one of HTTP/2, which answers with what came

A path says which body, and which pieces of trailers: /BODY/TRAILER/PIECE, in bytes,
and how long a line is, if not a hundred bytes: /BODY/TRAILER/PIECE/LINE.
BUFFER: of the proxy; more lines than it holds are not passed on.
"""
import socket
import sys
import threading
import time

DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, PADDED, PRIORITY = 1, 4, 8, 32
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LINES = 100
SHORT = 4  # a line of no more than a name
MANY = 800  # lines: more than a body may have, and than a head ever has


def field(name, value):
    """A literal without indexing, without Huffman (RFC 7541 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def body(n):
    return (b"0123456789abcdef" * (n // 16 + 1))[:n]


def chunked(n_body, n_trailer, line):
    """A body and, apart, its last chunk with lines of trailers."""
    lines, left = b"", n_trailer
    while left > 0:
        n = min(left, line)
        lines += b"a:\r\n" if line == SHORT else b"x-%d: " % (len(lines) // line % 10) + b"t" * max(n - 7, 1) + b"\r\n"
        left -= n
    return (b"%x\r\n" % n_body + body(n_body) + b"\r\n" if n_body else b""), b"0\r\n" + lines + b"\r\n"


def send(s, path):
    n_body, n_trailer, piece, line = [*(int(x) for x in path.split("/")[1:]), LINES][:4]
    data, end = chunked(n_body, n_trailer, line)
    s.sendall(data)
    for i in range(0, len(end), piece):
        # A piece that the proxy reads alone.
        time.sleep(0.03)
        s.sendall(end[i:i + piece])


class Frames:
    def __init__(self, s):
        self.s = s
        self.buf = b""

    def send(self, kind, flags=0, stream=0, payload=b""):
        self.s.sendall(len(payload).to_bytes(3, "big") + bytes([kind, flags]) +
                       stream.to_bytes(4, "big") + payload)

    def take(self, n):
        while len(self.buf) < n:
            got = self.s.recv(65536)
            if not got:
                raise ConnectionError("ended")
            self.buf += got
        got, self.buf = self.buf[:n], self.buf[n:]
        return got

    def frame(self):
        """(kind, flags, stream, payload); what asks for an answer has it."""
        h = self.take(9)
        kind, flags, stream = h[3], h[4], int.from_bytes(h[5:9], "big")
        payload = self.take(int.from_bytes(h[:3], "big"))
        if kind == SETTINGS and not flags & 1:
            self.send(SETTINGS, 1)
        elif kind == DATA and payload:
            for of in (0, stream):
                self.send(WINDOW, 0, of, len(payload).to_bytes(4, "big"))
        return kind, flags, stream, payload

    def message(self):
        """(stream, bytes of its body, HEADERS frames), or (stream, None, code) of a reset."""
        got, heads = b"", 0
        while True:
            kind, flags, stream, payload = self.frame()
            if kind == GOAWAY:
                raise ConnectionError("going")
            if kind == RST:
                return stream, None, int.from_bytes(payload, "big")
            if kind == DATA:
                got += payload
            heads += kind == HEADERS
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                return stream, got, heads


# ---------------------------------------------------------------- backends

def serve(addr, port, one):
    listener = socket.create_server((addr, port))
    print("ready", flush=True)
    while True:
        s, _ = listener.accept()
        threading.Thread(target=quietly, args=(one, s), daemon=True).start()


def quietly(one, s):
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        one(s)
    except OSError:
        pass
    s.close()


def serve_h1(s):
    buf = b""
    while True:
        while b"\r\n\r\n" not in buf:
            got = s.recv(65536)
            if not got:
                return
            buf += got
        head, buf = buf.split(b"\r\n\r\n", 1)
        s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        send(s, head.split()[1].decode())


def serve_h2(s):
    f = Frames(s)
    f.take(len(PREFACE))
    f.send(SETTINGS)
    while True:
        stream, got, heads = f.message()
        if got is None:
            continue
        said = b"%d %d %d" % (len(got), heads, got == body(len(got)))
        f.send(HEADERS, END_HEADERS, stream, field(b":status", b"200"))
        f.send(DATA, END_STREAM, stream, said)


# ---------------------------------------------------------------- client

def ok(is_so, text, detail):
    print(("ok" if is_so else "not ok") + f" - {text}", flush=True)
    if not is_so:
        print(f"# {detail!r:.300}", flush=True)


def attempt(f, *args):
    try:
        return f(*args)
    except OSError as e:
        return e


def from_h1_backend(addr, port, path):
    """What HTTP/2 has of the response of a backend that speaks HTTP/1.1."""
    with socket.create_connection((addr, port), 10) as s:
        s.sendall(PREFACE)
        f = Frames(s)
        f.send(SETTINGS)
        f.send(HEADERS, END_HEADERS | END_STREAM, 1, field(b":method", b"GET") +
               field(b":scheme", b"http") + field(b":path", path.encode()) +
               field(b":authority", b"trailers-h1"))
        return f.message()[1:]


def to_h2_backend(addr, port, path):
    """What a backend that speaks HTTP/2 had of a request in HTTP/1.1."""
    with socket.create_connection((addr, port), 10) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(b"POST / HTTP/1.1\r\nHost: trailers-h2\r\nConnection: close\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            send(s, path)
        except OSError:
            pass  # answered before its end
        got = b""
        while more := s.recv(65536):
            got += more
        return got


def from_h2_client(addr, port, n_lines):
    """What answers a request of HTTP/2 with so many trailers."""
    with socket.create_connection((addr, port), 10) as s:
        s.sendall(PREFACE)
        f = Frames(s)
        f.send(SETTINGS)
        f.send(HEADERS, END_HEADERS, 1, field(b":method", b"POST") + field(b":scheme", b"http") +
               field(b":path", b"/") + field(b":authority", b"trailers-h2"))
        f.send(DATA, 0, 1, b"body")
        f.send(HEADERS, END_HEADERS | END_STREAM, 1, field(b"a", b"") * n_lines)
        return f.message()[1:]


def call(addr, port, buffer):
    bodies = (0, 1, 10000, buffer - 60, 10 * buffer)
    for n_body in bodies:
        for n_trailer, piece in ((40, 3), (40, 7), (40, 12), (40, 44), (2000, 700), (buffer - 200, 900)):
            path = f"/{n_body}/{n_trailer}/{piece}"
            got = attempt(from_h1_backend, addr, port, path)
            ok(got == (body(n_body), 2), f"{path}: to a client of HTTP/2",
               got if isinstance(got, OSError) or got[0] is None else (len(got[0]), got[1], got[0][n_body:]))
            got = attempt(to_h2_backend, addr, port, path)
            ok(isinstance(got, bytes) and b"\r\n%d 2 1" % n_body in got, f"{path}: to a backend of HTTP/2", got)
    path = f"/1/{buffer + 1000}/900"
    got = attempt(from_h1_backend, addr, port, path)
    ok(not isinstance(got, OSError) and got[0] is None, "more lines than a buffer: a client's stream is reset", got)
    got = attempt(to_h2_backend, addr, port, path)
    ok(isinstance(got, bytes) and got.startswith(b"HTTP/1.1 5"), "more lines than a buffer: a backend does not get them", got)
    few = f"/1/{SHORT * 500}/1000/{SHORT}"
    many = f"/1/{SHORT * MANY}/1000/{SHORT}"
    got = [attempt(from_h1_backend, addr, port, path) for path in (few, many)]
    ok(got[0] == (body(1), 2), "500 lines: to a client of HTTP/2", got)
    ok(not isinstance(got[1], OSError) and got[1][0] is None, f"{MANY} lines: a client's stream is reset", got)
    got = [attempt(to_h2_backend, addr, port, path) for path in (few, many)]
    ok(isinstance(got[0], bytes) and b"\r\n1 2 1" in got[0], "500 lines: to a backend of HTTP/2", got)
    ok(isinstance(got[1], bytes) and got[1].startswith(b"HTTP/1.1 431 "), f"{MANY} lines: 431", got)
    got = [attempt(from_h2_client, addr, port, n) for n in (500, MANY)]
    ok(got[0] == (b"4 2 0", 1), "500 lines: from a client of HTTP/2", got)
    ok(not isinstance(got[1], OSError) and got[1][0] and got[1][0].startswith(b"431 "),
       f"{MANY} lines: 431 to a client of HTTP/2", got)


if sys.argv[1] == "h1":
    serve(sys.argv[2], int(sys.argv[3]), serve_h1)
elif sys.argv[1] == "h2":
    serve(sys.argv[2], int(sys.argv[3]), serve_h2)
else:
    call(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
