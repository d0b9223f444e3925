#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand, to say what libraries do not: h2_hostile.py ADDR PORT HOST [STALL]

Prints TAP lines; each case is a connection of its own.  STALL: streams end after four
seconds without progress.
"""
import socket
import struct
import sys

addr, port, host = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = \
    0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
NO_ERROR, PROTOCOL_ERROR, CALM = 0, 1, 11
n = 0


def field(name, value):
    """A literal without indexing, without Huffman (RFC 7541 6.2.2)."""
    def string(s):
        if len(s) < 127:
            return bytes([len(s)]) + s
        out, k = b"\x7f", len(s) - 127
        while k >= 128:
            out += bytes([k % 128 + 128])
            k //= 128
        return out + bytes([k]) + s
    return b"\0" + string(name) + string(value)


def head(path=b"/bytes/10", method=b"GET", authority=host, scheme=b"http", more=()):
    out = field(b":method", method) + field(b":scheme", scheme)
    out += field(b":path", path)
    if authority is not None:
        out += field(b":authority", authority)
    for name, value in more:
        out += field(name, value)
    return out


class Conn:
    def __init__(self):
        self.s = socket.create_connection((addr, port), 10)
        self.s.settimeout(10)
        self.buf = b""
        self.s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.send(SETTINGS)

    def send(self, kind, flags=0, stream=0, payload=b""):
        self.s.sendall(struct.pack(">I", len(payload))[1:] +
                       bytes([kind, flags]) + struct.pack(">I", stream) + payload)

    def frame(self):
        """(kind, flags, stream, payload), or None at the end."""
        try:
            while len(self.buf) < 9 or len(self.buf) < 9 + int.from_bytes(self.buf[:3], "big"):
                got = self.s.recv(65536)
                if not got:
                    return None
                self.buf += got
        except ConnectionError:
            return None
        size = int.from_bytes(self.buf[:3], "big")
        f = (self.buf[3], self.buf[4], int.from_bytes(self.buf[5:9], "big"), self.buf[9:9 + size])
        self.buf = self.buf[9 + size:]
        return f

    def until(self, want):
        while (f := self.frame()):
            if want(f):
                return f
        return None

    def goaway(self):
        f = self.until(lambda f: f[0] == GOAWAY)
        return f and int.from_bytes(f[3][4:8], "big")

    def answer(self, stream):
        """The status of a stream's response, or ("reset", code)."""
        f = self.until(lambda f: f[2] == stream and f[0] in (HEADERS, RST) or f[0] == GOAWAY)
        if not f:
            return None
        if f[0] == RST:
            return ("reset", int.from_bytes(f[3], "big"))
        if f[0] == GOAWAY:
            return ("goaway", int.from_bytes(f[3][4:8], "big"))
        # Statuses of the static table, or a literal of three digits.
        table = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}
        b = f[3].lstrip(b"\x20") if f[3][:1] == b"\x20" else f[3]
        if b[0] in table:
            return table[b[0]]
        size = b[1] & 0x7F
        return int(b[2:2 + size]) if not b[1] & 0x80 else huffman_digits(b[2:2 + size])


def huffman_digits(data):
    codes = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4",
             "011011": "5", "011100": "6", "011101": "7", "011110": "8", "011111": "9"}
    bits, out = "".join(f"{b:08b}" for b in data), ""
    while len(out) < 3:
        for size in (5, 6):
            if bits[:size] in codes:
                out, bits = out + codes[bits[:size]], bits[size:]
                break
    return int(out)


def ok(is_so, text, detail=None):
    global n
    n += 1
    print(("ok" if is_so else "not ok") + f" - {text}")
    if not is_so:
        print(f"# {detail!r}")


def one(text, want, payload, flags=END_HEADERS | END_STREAM, body=None):
    c = Conn()
    c.send(HEADERS, flags, 1, payload)
    if body is not None:
        c.send(DATA, END_STREAM, 1, body)
    got = c.answer(1)
    ok(got in want if isinstance(want, tuple) and isinstance(want[0], tuple) else got == want, text, got)


REFUSED = ("reset", PROTOCOL_ERROR)
one("a request, by hand", 200, head())
one("two hosts that agree", 200, head(more=[(b"host", host)]))
one("two hosts that differ", REFUSED, head(more=[(b"host", b"other")]))
one("no host at all", REFUSED, head(authority=None))
one("a host with user information", 400, head(authority=b"u@" + host))
one("Transfer-Encoding", REFUSED, head(more=[(b"transfer-encoding", b"chunked")]))
one("Connection", REFUSED, head(more=[(b"connection", b"close")]))
one("TE other than trailers", REFUSED, head(more=[(b"te", b"gzip")]))
one("a name in upper case", REFUSED, head(more=[(b"Name", b"x")]))
one("CR LF in a value", REFUSED, head(more=[(b"x", b"y\r\nhost: other")]))
one("CR LF in a path", REFUSED, head(path=b"/ HTTP/1.1\r\nhost: other\r\n\r\nGET /"))
one("a blank in a path", REFUSED, head(path=b"/a b"))
one("an absolute path is none", REFUSED, head(path=b"http://other/"))
one("dot segments", 400, head(path=b"/a/../b"))
one("another scheme", REFUSED, head(scheme=b"ftp"))
one("CONNECT", 405, field(b":method", b"CONNECT") + field(b":authority", host))
one("a length that is none", REFUSED, head(more=[(b"content-length", b"+1")]), END_HEADERS, b"x")
one("two lengths", REFUSED, head(more=[(b"content-length", b"1"), (b"content-length", b"1")]), END_HEADERS, b"x")
one("more body than its length", REFUSED, head(method=b"POST", more=[(b"content-length", b"1")]), END_HEADERS, b"xx")
one("a target that is too long", 414, head(path=b"/" + b"a" * 9000))
one("too many fields", 431, head(more=[(b"x%d" % i, b"") for i in range(200)]))

c = Conn()
big = head(more=[(b"x", b"y" * 12000), (b"z", b"y" * 12000)])
c.send(HEADERS, END_STREAM, 1, big[:16000])
c.send(CONTINUATION, END_HEADERS, 1, big[16000:])
got = c.answer(1)
ok(got == 431, "a head that is too large", got)
c.send(HEADERS, END_HEADERS | END_STREAM, 3, head())
got = c.answer(3)
ok(got == 200, "and the connection goes on", got)

c = Conn()
c.send(HEADERS, 0, 1, head())
try:
    for _ in range(2000):
        c.send(CONTINUATION, 0, 1, b"")
except ConnectionError:
    pass
got = c.goaway()
ok(got in (CALM, None), "CONTINUATION without end", got)

c = Conn()
try:
    for i in range(20000):
        c.send(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, head())
        c.send(RST, 0, 2 * i + 1, struct.pack(">I", 8))
except ConnectionError:
    pass
got = c.goaway()
ok(got in (CALM, None), "rapid reset", got)

for name, kind, stream, payload in (("PING", PING, 0, b"12345678"), ("SETTINGS", SETTINGS, 0, b""),
                                    ("PRIORITY", PRIORITY, 1, b"\0\0\0\0\x10")):
    c = Conn()
    try:
        for _ in range(20000):
            c.send(kind, 0, stream, payload)
    except ConnectionError:
        pass
    got = c.goaway()
    ok(got in (CALM, None), f"{name} without end", got)

c = Conn()
c.send(HEADERS, END_HEADERS, 1, head(method=b"POST"))
try:
    for _ in range(20000):
        c.send(DATA, 0, 1, b"")
except ConnectionError:
    pass
got = c.goaway()
ok(got in (CALM, None), "empty DATA without end", got)

# One entry of 4000 bytes in the dynamic table, then one byte for each use.
c = Conn()
bomb = head() + b"\x40" + field(b"x", b"y" * 3900)[1:]
c.send(HEADERS, END_STREAM, 1, bomb)
try:
    for _ in range(8):
        c.send(CONTINUATION, 0, 1, b"\xbe" * 16000)
except ConnectionError:
    pass
got = c.goaway()
ok(got in (CALM, None), "an HPACK bomb", got)

c = Conn()
for i in range(200):
    c.send(HEADERS, END_HEADERS, 2 * i + 1, head(method=b"POST"))
f = c.until(lambda f: f[0] in (RST, GOAWAY))
ok(f is not None, "more streams than allowed", f)

# Streams too many for good, by a client that neither acknowledges nor reads: what answers them is not kept.
c = Conn()
c.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
for i in range(128):
    c.send(HEADERS, END_HEADERS, 2 * i + 1, head(path=b"/hold", method=b"POST", authority=b"timeouts"))
ended = None
try:
    for first in range(257, 2000001, 2000):
        c.s.sendall(b"".join(b"\0\0\0" + bytes([HEADERS, END_HEADERS | END_STREAM]) + struct.pack(">I", i)
                             for i in range(first, first + 2000, 2)))
except OSError as e:
    ended = e
ok(isinstance(ended, ConnectionError), "streams too many without end", ended)
c.s.close()

# A client that takes nothing, and one that is slow to: others are served.
c = Conn()
c.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
for i in range(50):
    c.send(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, head(path=b"/bytes/1000000"))
got = c.answer(1)
one("another while someone takes nothing", 200, head())
ok(got == 200, "who got a head", got)
c.s.close()

# Body bytes beyond the window.
c = Conn()
c.send(HEADERS, END_HEADERS, 1, head(path=b"/hold", method=b"POST", authority=b"timeouts"))
try:
    for _ in range(64):
        c.send(DATA, 0, 1, b"x" * 16000)
    f = c.until(lambda f: f[0] in (RST, GOAWAY))
except ConnectionError:
    f = True
ok(f is not None, "a body beyond the window", f)

# Responses that nobody takes, on a connection that PING keeps alive.
if len(sys.argv) > 4:
    import time
    c = Conn()
    c.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
    c.send(HEADERS, END_HEADERS | END_STREAM, 1, head())
    got, until = None, time.time() + 8
    while not got and time.time() < until:
        c.send(PING, 0, 0, b"12345678")
        f = c.frame()
        got = f and f[0] == RST and f
        time.sleep(0.05)
    ok(got and got[2] == 1, "a stream that is not taken ends", got)
