#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand, to say what libraries do not: h2_hostile.py ADDR PORT [STALL]

Prints TAP lines; each case is a connection of its own.  STALL: streams end after four
seconds without progress.
"""
import socket
import struct
import sys

import h2_hand
from h2_hand import (CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY,
                     PROTOCOL_ERROR, RST, SETTINGS, field, head, ok)

addr, port, host = sys.argv[1], int(sys.argv[2]), b"t"


def connect():
    return h2_hand.Conn(addr, port)


def one(text, want, payload, flags=END_HEADERS | END_STREAM, body=None):
    c = connect()
    c.send_head(1, payload, flags)
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
one("https, as a balancer that ended TLS has it", 200, head(scheme=b"https"))
one("CONNECT", 405, field(b":method", b"CONNECT") + field(b":authority", host))
one("a length that is none", REFUSED, head(more=[(b"content-length", b"+1")]), END_HEADERS, b"x")
one("two lengths", REFUSED, head(more=[(b"content-length", b"1"), (b"content-length", b"1")]), END_HEADERS, b"x")
one("more body than its length", REFUSED, head(method=b"POST", more=[(b"content-length", b"1")]), END_HEADERS, b"xx")
one("a target that is too long", 414, head(path=b"/" + b"a" * 9000))
one("HEAD of a target that is too long", 414, head(method=b"HEAD", path=b"/" + b"a" * 9000))
one("HEAD of one that is as long as a head", 414, head(method=b"HEAD", path=b"/" + b"a" * 16400))
one("HEAD with too many fields", 431, head(method=b"HEAD", more=[(b"x%d" % i, b"") for i in range(200)]))
one("HEAD with a head that is too large", 431, head(method=b"HEAD", more=[(b"x", b"y" * 12000), (b"z", b"y" * 12000)]))
one("too many fields", 431, head(more=[(b"x%d" % i, b"") for i in range(200)]))

c = connect()
c.send_head(1, head(more=[(b"x", b"y" * 12000), (b"z", b"y" * 12000)]))
got = c.answer(1)
ok(got == 431, "a head that is too large", got)
c.send(HEADERS, END_HEADERS | END_STREAM, 3, head())
got = c.answer(3)
ok(got == 200, "and the connection goes on", got)

c = connect()
c.send(HEADERS, 0, 1, head())
try:
    for _ in range(2000):
        c.send(CONTINUATION, 0, 1, b"")
except ConnectionError:
    pass
got = c.goaway()
ok(got in (CALM, None), "CONTINUATION without end", got)

for name, code in (("CANCEL", 8), ("NO_ERROR", 0)):
    c = connect()
    try:
        for i in range(20000):
            c.send(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, head())
            c.send(RST, 0, 2 * i + 1, struct.pack(">I", code))
    except ConnectionError:
        pass
    got = c.goaway()
    ok(got in (CALM, None), f"rapid reset, {name}", got)

for name, kind, stream, payload in (("PING", PING, 0, b"12345678"), ("SETTINGS", SETTINGS, 0, b""),
                                    ("PRIORITY", PRIORITY, 1, b"\0\0\0\0\x10")):
    c = connect()
    try:
        for _ in range(20000):
            c.send(kind, 0, stream, payload)
    except ConnectionError:
        pass
    got = c.goaway()
    ok(got in (CALM, None), f"{name} without end", got)

# What comes behind one in the same bytes is not looked at any more.
for name, many in (("PING", b"\0\0\x08" + bytes([PING, 0]) + bytes(12)),
                   ("CONTINUATION", b"\0\0\0" + bytes([CONTINUATION, 0]) + struct.pack(">I", 1))):
    c = connect()
    c.until(lambda f: f[0] == SETTINGS and f[1])
    block = head()
    first = b"\0\0\0" + bytes([HEADERS, END_STREAM]) + struct.pack(">I", 1) if name == "CONTINUATION" else b""
    last = struct.pack(">I", len(block))[1:] + bytes([CONTINUATION if first else HEADERS, END_HEADERS | (not first)])
    try:
        c.s.sendall(first + many * (20 if first else 1001) + last + struct.pack(">I", 1) + block)
    except ConnectionError:
        pass
    got = []
    while (f := c.frame()):
        got.append(f)
    codes = {int.from_bytes(f[3][4:8], "big") for f in got if f[0] == GOAWAY}
    ok(codes <= {CALM} and not any(f[0] == HEADERS for f in got), f"no answer to a request behind too many of {name}",
       got)

c = connect()
c.send(HEADERS, END_HEADERS, 1, head(method=b"POST"))
try:
    for _ in range(20000):
        c.send(DATA, 0, 1, b"")
except ConnectionError:
    pass
got = c.goaway()
ok(got in (CALM, None), "empty DATA without end", got)

# One entry of 4000 bytes in the dynamic table, then one byte for each use.
c = connect()
bomb = head() + b"\x40" + field(b"x", b"y" * 3900)[1:]
c.send(HEADERS, END_STREAM, 1, bomb)
try:
    for _ in range(8):
        c.send(CONTINUATION, 0, 1, b"\xbe" * 16000)
except ConnectionError:
    pass
got = c.goaway()
ok(got in (CALM, None), "an HPACK bomb", got)

c = connect()
for i in range(200):
    c.send(HEADERS, END_HEADERS, 2 * i + 1, head(method=b"POST"))
f = c.until(lambda f: f[0] in (RST, GOAWAY))
ok(f is not None, "more streams than allowed", f)

# Streams too many for good, by a client that neither acknowledges nor reads: what answers them is not kept.
c = connect()
c.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
# With no room left the kernel may see the end only when it sends again what was lost: 13 s.
c.s.settimeout(40)
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
c = connect()
c.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
for i in range(50):
    c.send(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, head(path=b"/bytes/1000000"))
got = c.answer(1)
one("another while someone takes nothing", 200, head())
ok(got == 200, "who got a head", got)
c.s.close()

# Body bytes beyond the window.
c = connect()
c.send(HEADERS, END_HEADERS, 1, head(path=b"/hold", method=b"POST", authority=b"timeouts"))
try:
    for _ in range(64):
        c.send(DATA, 0, 1, b"x" * 16000)
    f = c.until(lambda f: f[0] in (RST, GOAWAY))
except ConnectionError:
    f = True
ok(f is not None, "a body beyond the window", f)

# Responses that nobody takes, on a connection that PING keeps alive.
if len(sys.argv) > 3:
    import time
    c = connect()
    c.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
    c.send(HEADERS, END_HEADERS | END_STREAM, 1, head())
    got, until = None, time.time() + 8
    while not got and time.time() < until:
        c.send(PING, 0, 0, b"12345678")
        f = c.frame()
        got = f and f[0] == RST and f
        time.sleep(0.05)
    ok(got and got[2] == 1, "a stream that is not taken ends", got)
