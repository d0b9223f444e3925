#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Limits of HTTP/2 streams and connections, from both sides of the proxy.

    h2_limits.py CASE ADDR PORT   prints TAP lines
    h2_limits.py heads|size|deaf|zero ADDR PORT  a backend of HTTP/2: whose responses'
                 heads grow; which says how large a head was; reads no more; or,
                 asked for the first time, takes no streams
    h2_limits.py large-h1 ADDR PORT   one of HTTP/1.1: /N has a head of N bytes

CASE lengths and slow: of a proxy with max_head_bytes=4096 buffer_bytes=8192
head_timeout_ms=500 stall_timeout_ms=2000; large: with max_head_bytes=140000; crowd:
with workers=1 max_buffer_mib=8.
"""
import itertools
import select
import socket
import struct
import sys
import threading
import time

import h2_hand
from h2_hand import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST, SETTINGS, WINDOW,
                     field, head, ok)

addr, port = sys.argv[2], int(sys.argv[3])
PADS = range(4096 - 120, 4096)
pads = iter(PADS)  # of heads in responses, one after the other
BODY = b"0123456789" * 1000


def connect():
    return h2_hand.Conn(addr, port)


def message(c, stream):
    """(status, body) of a response, or what ended it."""
    status, body = None, b""
    while (f := c.frame()):
        if f[0] == GOAWAY or f[0] == RST and f[2] == stream:
            return f[0], int.from_bytes(f[3][-4:], "big")
        if f[0] == HEADERS and f[2] == stream and status is None:
            status = h2_hand.status(f[3])
        body += f[3] if f[0] == DATA and f[2] == stream else b""
        if f[2] == stream and f[1] & END_STREAM and f[0] in (HEADERS, DATA):
            return status, body
    return None


def received(s):
    """All that comes until the end of a connection, or until it breaks."""
    got = b""
    try:
        while more := s.recv(65536):
            got += more
    except OSError:
        pass
    return got


# ---------------------------------------------------------------- clients

def lengths():
    """A request, and a response, is whole or refused, however little is left for its length."""
    got = {}
    for pad in PADS:
        c = connect()
        c.send_head(1, head(b"/echo", b"POST", more=[(b"x", b"y" * pad), (b"content-length", b"%d" % len(BODY))]),
                    END_HEADERS)
        c.send(DATA, END_STREAM, 1, BODY)
        status, body = message(c, 1) or (None, b"")
        is_whole = body == BODY
        got.setdefault((status, is_whole), []).append(pad)
        c.s.close()
    ok(set(got) == {(200, True), (431, False)}, "a request near the limit is whole or 431", got)
    got = {}
    for pad in PADS:
        with socket.create_connection((addr, port), 10) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: limits-heads\r\nConnection: close\r\n\r\n")
            answer = received(s)
        lines, _, body = answer.partition(b"\r\n\r\n")
        is_whole = body == BODY and b"\r\nContent-Length: %d" % len(BODY) in lines
        got.setdefault((answer[9:12], is_whole), []).append(pad)
    ok(set(got) == {(b"200", True), (b"502", False)}, "a response near the limit is whole or 502", got)
    c = connect()
    c.send_head(1, head(more=[(b"cookie", b"z" * 9000), (b"authorization", b"none")]))
    got = message(c, 1)
    ok(got and got[0] == 431, "a cookie larger than a buffer is not left out", got)


def drip(c, stream, seconds):
    """Bytes of a CONTINUATION that has no end soon."""
    until = time.time() + seconds
    c.s.sendall(struct.pack(">I", 16000)[1:] + bytes([CONTINUATION, 0]) + struct.pack(">I", stream))
    for byte in field(b"x", b"y" * 8000):
        if time.time() > until:
            return
        c.s.sendall(bytes([byte]))
        if select.select([c.s], [], [], 0.05)[0]:
            return


def slow():
    c = connect()
    c.send(HEADERS, END_STREAM, 1, head())
    began = time.time()
    got = c.goaway()
    ok(got == 0 and 0.4 < time.time() - began < 1.9, "a head without its end: GOAWAY", (got, time.time() - began))
    ok(c.until(lambda f: False) is None, "and the connection ends", None)

    c = connect()
    c.until(lambda f: f[0] == SETTINGS and f[1])
    began = time.time()
    c.send(HEADERS, END_STREAM, 1, head())
    drip(c, 1, 8)
    got, took = c.goaway(), time.time() - began
    ok(got == 0 and 0.4 < took < 1.9, "one that goes on byte by byte", (got, took))

    # What has been asked before ends well.
    c = connect()
    c.send_head(1, head(b"/delay/1200/bytes/1000"))
    c.send(HEADERS, END_STREAM, 3, head())
    frames = []
    while (f := c.frame()):
        frames.append(f)
    body = b"".join(f[3] for f in frames if f[0] == DATA and f[2] == 1)
    ok(len(body) == 1000 and any(f[0] == GOAWAY for f in frames) and
       any(f[0] == RST and f[2] == 3 for f in frames), "the answer to another request ends before the connection",
       [f[:3] for f in frames])

    # A head that is complete in time is none of this.
    c = connect()
    block = head()
    c.send(HEADERS, END_STREAM, 1, block[:10])
    time.sleep(0.2)
    c.send(CONTINUATION, END_HEADERS, 1, block[10:])
    got = [message(c, 1)]
    time.sleep(0.8)
    c.send_head(3, head())
    got.append(message(c, 3))
    ok(got == [(200, b"abcdefghij")] * 2, "a head in two parts, and another one later", got)

    # Trailers are a header block, too.
    c = connect()
    c.send_head(1, head(b"/echo", b"POST"), END_HEADERS)
    c.send(DATA, 0, 1, b"body")
    c.send(HEADERS, END_STREAM, 1, field(b"x", b"y"))
    began = time.time()
    got = c.goaway()
    ok(got == 0 and 0.4 < time.time() - began < 1.9, "trailers without their end: GOAWAY", got)

    # One who takes nothing may say what he likes: it is no progress.
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect((addr, port))
    c.s = s
    s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    c.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 0x7fffffff))
    c.send(WINDOW, 0, 0, struct.pack(">I", 0x7fff0000))
    for i in range(20):
        c.send_head(2 * i + 1, head(b"/bytes/1000000"))
    began, ended = time.time(), None
    while not ended and time.time() < began + 20:
        time.sleep(0.2)
        try:
            c.send(WINDOW, 0, 0, struct.pack(">I", 1))
        except OSError as e:
            ended = e
    took = time.time() - began
    ok(ended and took > 1.5, "a client that takes nothing and goes on sending ends", (ended, took))


def large():
    c = connect()
    c.send_head(1, head(b"/100000", authority=b"limits-large"))
    got = message(c, 1)
    ok(got == (200, b"ok"), "a response head of 100 000 bytes", got)
    c = connect()
    c.send_head(1, head(b"/", authority=b"limits-size", more=[(b"x%d" % i, b"y" * 30000) for i in range(3)]))
    got = message(c, 1)
    # As Huffman has it.
    ok(got and got[0] == 200 and int(got[1]) > 70000, "a request head of 90 000", got)


def ignored():
    """Requests with more body than all buffers, of which the backend reads none."""
    asked = [socket.create_connection((addr, port), 10) for _ in range(8)]
    for s in asked:
        s.sendall(b"POST / HTTP/1.1\r\nHost: limits-deaf\r\nContent-Length: 50000000\r\n\r\n")
        s.setblocking(False)
    until = time.time() + 1
    while time.time() < until:
        for s in select.select([], asked, [], 0.1)[1]:
            try:
                s.send(BODY * 10)
            except OSError:
                pass
    got = []
    for s in asked:
        s.settimeout(10)
        try:
            got.append(s.recv(12)[9:12] or b"ended")
        except OSError as e:
            got.append(e)
    ok(got == [b"504"] * len(asked), "requests to a backend that reads nothing end", got)


def none():
    """One after the other, to a backend that takes none on the same connection."""
    got = []
    for _ in range(40):
        c = connect()
        c.send_head(1, head(b"/", authority=b"limits-zero"))
        got.append(message(c, 1))
        c.s.close()
    ok(got == [(200, b"0")] * len(got), "40 requests to a backend that takes no streams", got)


def statuses(host, n, pause=0):
    """Of so many requests, one after the other."""
    got = []
    for _ in range(n):
        with socket.create_connection((addr, port), 10) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
            got.append(s.recv(12)[9:12])
        time.sleep(pause)
    return got


def silent():
    """A backend whose first connection dies in silence."""
    got = statuses(b"limits-silent", 4)
    ok(got == [b"200", b"504", b"200", b"200"], "a connection that says nothing is not used again", got)


def slow_start():
    """A backend that takes longer at first than a rule lets it."""
    got = statuses(b"limits-late", 4, 0.3)
    ok(got[0] == b"504" and got[-1] == b"200", "one that begins late is", got)


def hoard(n, block, flags=END_HEADERS | END_STREAM):
    """Connections whose windows are closed, with a hundred requests each."""
    conns = []
    for _ in range(n):
        c = connect()
        c.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
        for i in range(100):
            c.send_head(2 * i + 1, block, flags)
        conns.append(c)
        time.sleep(0.1)
    return conns


def crowd():
    """Streams that hold buffers until there are none left, and then do nothing."""
    c, = hoard(1, head())
    time.sleep(6)
    c.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535))
    ended = [c.until(lambda f: f[0] == RST or f[0] == DATA and f[1] & END_STREAM) for _ in range(100)]
    ok(all(f and f[0] == DATA for f in ended), "while there are buffers a client may take its time", ended[0])
    c.s.close()
    for text, block, flags in (("small answers", head(), END_HEADERS | END_STREAM),
                               ("large ones", head(b"/bytes/1000000"), END_HEADERS | END_STREAM),
                               ("requests without their body", head(b"/", b"POST"), END_HEADERS)):
        conns = hoard(10, block, flags)
        before, began, got = statuses(b"t", 1), time.time(), None
        while got != [b"200"] and time.time() < began + 20:
            time.sleep(0.2)
            got = statuses(b"t", 1)
        took = time.time() - began
        ok(before == [b"503"] and got == [b"200"] and took < 8, f"{text} that are left lying go for others",
           (before, got, took))
        for c in conns:
            c.s.close()
        time.sleep(0.5)


# ---------------------------------------------------------------- backends

def serve(one):
    listener = socket.create_server((addr, port), backlog=64)
    if sys.argv[1] == "deaf":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    print("ready", flush=True)
    while True:
        s, _ = listener.accept()
        threading.Thread(target=quietly, args=(one, s), daemon=True).start()


def quietly(one, s):
    try:
        one(s)
    except OSError:
        pass
    s.close()


connections = itertools.count(1)


def serve_h2(s):
    is_first = next(connections) == 1
    if sys.argv[1] == "late":
        time.sleep(0.4)
    c = h2_hand.Conn(None, None, s)
    while len(c.buf) < len(h2_hand.PREFACE):
        c.buf += s.recv(65536)
    c.buf = c.buf[len(h2_hand.PREFACE):]
    # As much as anybody sends.
    c.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 0x7fffffff))
    c.send(WINDOW, 0, 0, struct.pack(">I", 0x7fff0000))
    if sys.argv[1] == "zero":
        c.until(lambda f: f[0] == HEADERS)
        c.send(SETTINGS, 0, 0, struct.pack(">HI", 3, 0))
        c.send(SETTINGS, 1)
        answer(c, 1, 0)
    s.settimeout(60)
    n = 0  # bytes of a head, as it came
    while (f := c.frame()):
        kind, flags, stream, payload = f
        if kind == SETTINGS and not flags & 1:
            c.send(SETTINGS, 1)
        if kind in (HEADERS, CONTINUATION):
            n += len(payload)
            if flags & END_HEADERS:
                if sys.argv[1] != "dying" or not is_first or stream == 1:
                    answer(c, stream, n)
                n = 0


def answer(c, stream, n):
    if sys.argv[1] == "deaf":
        time.sleep(60)
    elif sys.argv[1] in ("size", "zero", "dying", "late"):
        c.send(HEADERS, END_HEADERS, stream, field(b":status", b"200"))
        c.send(DATA, END_STREAM, stream, b"%d" % n)
    else:
        c.send_head(stream, field(b":status", b"200") + field(b"x", b"y" * next(pads)) +
                    field(b"content-length", b"%d" % len(BODY)), END_HEADERS)
        c.send(DATA, END_STREAM, stream, BODY)


def serve_large(s):
    buf = b""
    while True:
        while b"\r\n\r\n" not in buf:
            got = s.recv(65536)
            if not got:
                return
            buf += got
        request, buf = buf.split(b"\r\n\r\n", 1)
        n = int(request.split()[1][1:])
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" +
                  b"".join(b"x%d: " % i + b"y" * (n // 10) + b"\r\n" for i in range(10)) + b"\r\nok")


if sys.argv[1] in ("heads", "size", "deaf", "zero", "dying", "late"):
    serve(serve_h2)
elif sys.argv[1] == "large-h1":
    serve(serve_large)
else:
    {"lengths": lengths, "slow": slow, "large": large, "ignored": ignored, "none": none,
     "crowd": crowd, "silent": silent, "slow-start": slow_start}[sys.argv[1]]()
