#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 where buffers or memory are at an end: what its peers are told, clients and
backends, and that the rest of their connections goes on.

    h2_memory.py buffers|memory ADDR PORT OUT   prints TAP lines

buffers: of a proxy with workers=1 max_buffer_mib=1 buffer_bytes=32768 h2_resets=4
head_timeout_ms=60000 connect_timeout_ms=60000; memory: of one with workers=1.  Its
driver has descriptor 3 and writes to OUT.
The routes memory-h1, memory-h2 and memory-full lead here: 127.0.1.1, ports 9141 to 9143.
"""
import os
import select
import socket
import struct
import sys
import threading
import time

import h2_hand
from h2_hand import (CALM, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST, SETTINGS,
                     WINDOW, field, head, ok)

addr, port, out = sys.argv[2], int(sys.argv[3]), sys.argv[4]
INTERNAL_ERROR, REFUSED_STREAM = 2, 7
BUFFERS = 30  # of 32, without those that are kept for answers
BACKENDS = "127.0.1.1"


def stats():
    """The driver's counters."""
    os.truncate(out, 0)
    os.write(3, b"stats\n")
    until = time.time() + 10
    while time.time() < until:
        with open(out, encoding="ascii") as f:
            text = f.read()
        if text.endswith("\n") and "under_way=" in text:
            return {k: int(v) for k, v in (w.split("=") for w in text.split())}
        time.sleep(0.005)
    raise TimeoutError("stats")


def closing(*sockets):
    """Until the proxy has noticed."""
    want = stats()["clients_closed"] + len(sockets)
    for s in sockets:
        s.close()
    until = time.time() + 10
    while stats()["clients_closed"] < want and time.time() < until:
        time.sleep(0.002)


class Overloads:
    """How often OVERLOAD was counted since."""

    def __init__(self):
        self.before = stats()["OVERLOAD"]

    def __call__(self):
        return stats()["OVERLOAD"] - self.before


class Buffers:
    """Connections that hold a buffer each: an answer has come, the next request has begun."""

    def __init__(self):
        self.held = []

    def fill(self):
        """All there are; how many they were."""
        n = 0
        while n <= BUFFERS:
            s = socket.create_connection((addr, port), 10)
            s.sendall(b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\nGET /")
            got = s.recv(4096)
            if not got.startswith(b"HTTP/1.1 404"):
                closing(s)
                break
            self.held.append(s)
            n += 1
        return n

    def free(self, n=None):
        """So many of them, or all."""
        n = len(self.held) if n is None else n
        closing(*self.held[:n])
        del self.held[:n]


class Client(h2_hand.Conn):
    """Keeps what comes for other streams than the one that is asked for."""

    def __init__(self):
        super().__init__(addr, port)
        self.next, self.seen, self.pings = 1, [], 0

    def ask(self, block, flags=END_HEADERS | END_STREAM):
        self.next += 2
        self.send_head(self.next - 2, block, flags)
        return self.next - 2

    def end(self, stream):
        """(status, body), or ("reset", code), or what ended the connection."""
        status, body = None, b""
        while True:
            f = next((f for f in self.seen if f[2] == stream), None)
            if f:
                self.seen.remove(f)
            elif not (f := self.frame()):
                return "closed"
            if f[0] == GOAWAY:
                return "goaway", int.from_bytes(f[3][4:8], "big")
            if f[2] != stream:
                self.seen += [f]
                continue
            if f[0] == RST:
                return "reset", int.from_bytes(f[3], "big")
            if f[0] == HEADERS and status is None:
                status = h2_hand.status(f[3])
            body += f[3] if f[0] == DATA else b""
            if f[1] & END_STREAM and f[0] in (HEADERS, DATA):
                return status, body

    def ping(self):
        """All that was sent has been looked at."""
        self.pings += 1
        self.send(PING, 0, 0, struct.pack(">Q", self.pings))
        while (f := self.frame()):
            if f[0] == PING and f[1] & 1 and f[3] == struct.pack(">Q", self.pings):
                return True
            self.seen.append(f)
        return False


class Backend:
    """One of HTTP/1.1, a connection for each request."""

    def __init__(self, number):
        self.listener = socket.create_server((BACKENDS, number))
        self.listener.settimeout(10)

    def request(self):
        """The next one: its connection, the head read."""
        s, _ = self.listener.accept()
        s.settimeout(10)
        got = b""
        while b"\r\n\r\n" not in got:
            more = s.recv(65536)
            if not more:
                raise ConnectionError("no request")
            got += more
        return s


class Backend2(h2_hand.Conn):
    """A connection of one of HTTP/2."""

    def __init__(self, listener):
        s, _ = listener.accept()
        super().__init__(None, None, s)
        while len(self.buf) < len(h2_hand.PREFACE):
            got = s.recv(65536)
            if not got:
                raise ConnectionError("no preface")
            self.buf += got
        self.buf = self.buf[len(h2_hand.PREFACE):]
        self.send(SETTINGS)

    def request(self):
        """The stream of the next one."""
        return self.until(lambda f: f[0] == HEADERS)[2]

    def reset(self, stream):
        f = self.until(lambda f: f[0] == RST and f[2] == stream)
        return f and int.from_bytes(f[3], "big")


def answer(s, body=b"ok"):
    s.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def is_gone(s):
    """Its request was given up."""
    try:
        while s.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


H1 = head(b"/", b"POST", authority=b"memory-h1")
H2 = head(b"/", b"POST", authority=b"memory-h2")


# ------------------------------------------------- buffers

def streams(buffers, backend):
    """New ones, without a buffer for their heads."""
    c = Client()
    first = c.ask(H1, END_HEADERS)
    b = backend.request()
    buffers.fill()
    overloads = Overloads()
    got = [c.end(c.ask(head())) for _ in range(3)]
    got += [c.end(stream) for stream in [c.ask(head()) for _ in range(100)]]
    stream = c.ask(H1, END_HEADERS)
    c.send(DATA, END_STREAM, stream, b"x" * 1000)
    got.append(c.end(stream))
    ok(set(got) == {("reset", REFUSED_STREAM)}, "no buffer for a head: the stream is refused", got)
    ok(c.ping(), "no buffer for a head: the connection goes on")
    n = overloads()
    ok(n == len(got), "each of them is counted", n)
    buffers.free()
    got = c.end(c.ask(head(authority=b"nobody")))
    ok(got[0] == 404, "and when there are buffers: a new stream", got)
    c.send(DATA, END_STREAM, first, b"body")
    answer(b)
    got = c.end(first)
    ok(got == (200, b"ok"), "and the one that was there before", got)
    closing(c.s)


def cookies(buffers):
    """A buffer for a head, none for its cookies, which are gathered in another."""
    c = Client()
    buffers.fill()
    overloads = Overloads()
    got = []
    for _ in range(6):
        buffers.free(2)  # what is read is in one, too
        got.append(c.end(c.ask(head(more=[(b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d")]))))
        buffers.fill()
    # Each filling counts its last one.
    ok(got == [("reset", REFUSED_STREAM)] * 6 and overloads() == 12, "none for cookies: refused, and counted",
       (got, overloads()))
    buffers.free()
    got = c.end(c.ask(head(authority=b"nobody", more=[(b"cookie", b"a=b")])))
    ok(got[0] == 404, "none for cookies: the connection goes on", got)
    closing(c.s)


def bodies(buffers, backend):
    """A body and trailers of requests that are under way."""
    c = Client()
    for name, code in (("a body", CALM), ("trailers", INTERNAL_ERROR)):
        got, gone = [], []
        other = c.ask(H1, END_HEADERS)
        b = backend.request()
        overloads = Overloads()
        for _ in range(6):
            stream = c.ask(H1, END_HEADERS)
            if not c.ping():
                break
            s = backend.request()
            buffers.fill()
            if code == CALM:
                c.send(DATA, 0, stream, b"x" * 1000)
            else:
                c.send_head(stream, field(b"x", b"y"))
            got.append(c.end(stream))
            gone.append(is_gone(s))
            buffers.free()
        ok(got == [("reset", code)] * 6 and all(gone), f"none for {name}: the stream ends", (got, gone))
        n = overloads()
        ok(n == 12, f"none for {name}: counted", n)
        c.send(DATA, END_STREAM, other, b"body")
        answer(b)
        got = c.end(other)
        ok(got == (200, b"ok"), f"none for {name}: another stream goes on", got)
    closing(c.s)


def unsent(buffers, backend):
    """What a backend has sent, and nothing to send it on from."""
    c = Client()
    stream = c.ask(H1)
    s = backend.request()
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    c.seen.append(c.until(lambda f: f[0] == HEADERS))
    buffers.fill()
    overloads = Overloads()
    s.sendall(b"body")
    got = c.end(stream)
    n = overloads()
    ok(got == ("reset", INTERNAL_ERROR) and n, "none to send a body from: the stream ends, and it is counted",
       (got, n))
    buffers.free()
    ok(c.ping(), "none to send a body from: the connection goes on")
    closing(c.s)


def responses(buffers):
    """Of a backend of HTTP/2."""
    listener = socket.create_server((BACKENDS, 9142))
    listener.settimeout(10)
    c = Client()
    stream = c.ask(H2)
    b = Backend2(listener)
    for kind, code, told in (("head", INTERNAL_ERROR, (503, b"503 out of buffers\n")),
                             ("body", CALM, ("reset", INTERNAL_ERROR)),
                             ("trailers", INTERNAL_ERROR, ("reset", INTERNAL_ERROR))):
        of = b.request()
        if kind != "head":
            b.send_head(of, field(b":status", b"200"), END_HEADERS)
            c.seen.append(c.until(lambda f: f[0] == HEADERS))
        buffers.fill()
        overloads = Overloads()
        if kind == "body":
            b.send(DATA, END_STREAM, of, b"body")
        else:
            b.send_head(of, field(b":status", b"200") if kind == "head" else field(b"x", b"y"))
        got = (b.reset(of), c.end(stream))
        n = overloads()
        ok(got == (code, told) and n, f"none for a response's {kind}: both streams end, and it is counted", (got, n))
        buffers.free()
        stream = c.ask(H2)
    b.send_head(b.request(), field(b":status", b"200"))
    got = c.end(stream)
    ok(got == (200, b""), "and both connections go on", got)
    closing(c.s)


def ended(buffers):
    """Who ends its connection without a request asks for nothing."""
    quiet = [socket.create_connection((addr, port), 10) for _ in range(2)]
    quiet[1].sendall(b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n")
    quiet[1].recv(4096)
    buffers.fill()
    overloads = Overloads()
    got = []
    for s in quiet:
        s.shutdown(socket.SHUT_WR)
        got.append(s.recv(4096))
        s.close()
    n = overloads()
    ok(got == [b"", b""] and not n, "none is needed for the end of a connection that asks for nothing", (got, n))
    buffers.free()


def window(buffers):
    """A body that stays here, and a frame that half finds its place: what a connection may send in
    all is what was taken of it, and no more."""
    full = socket.create_server((BACKENDS, 9143), backlog=0)
    waiting = []
    while not waiting or select.select([], waiting[-1:], [], 0.2)[1]:
        waiting.append(socket.socket())
        waiting[-1].setblocking(False)
        waiting[-1].connect_ex((BACKENDS, 9143))
    c = Client()

    def send(sizes):
        stream = c.ask(head(b"/", b"POST", authority=b"memory-full"), END_HEADERS)
        for n in sizes:
            c.send(DATA, 0, stream, b"x" * n)
        c.ping()
        return stream

    got, sent = [], 0
    for _ in range(12):
        stream = send([16000, 4000])
        sent += 20000
        buffers.fill()
        # The first, or if a buffer had more room the next one.
        for n in (16000, 16000, 13000):
            c.send(DATA, 0, stream, b"x" * n)
            sent += n
            c.ping()
            c.ping()  # its answers go before a reset
            if any(f[0] == RST and f[2] == stream for f in c.seen):
                break
        got.append(c.end(stream))
        buffers.free()
    _ = [send([16000] * 4) for _ in range(3)]
    stream = c.ask(head(method=b"POST", authority=b"nobody"), END_HEADERS)
    c.send(DATA, END_STREAM, stream, b"x")
    c.end(stream)
    c.ping()
    granted = sum(int.from_bytes(f[3], "big") for f in c.seen if f[0] == WINDOW and f[2] == 0) - 4 * 65536 + 65535
    ok(set(got) == {("reset", CALM)}, "half a frame has no buffer: the stream ends", got)
    ok(sent // 2 < granted <= sent + 1, "and is not taken twice from the window", (granted, sent))
    closing(c.s)
    for s in waiting + [full]:
        s.close()


def hole(buffers, backend):
    """A piece of a frame that finds no buffer, and the next one does, of a client that does not hear
    of it: the backend must not take the rest for the whole."""
    c = Client()
    c.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 30))
    c.send(WINDOW, 0, 0, struct.pack(">I", 1 << 30))
    c.ask(H1)
    s = backend.request()
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while select.select([], [s], [], 0.5)[1]:
        s.send(b"x" * 65536)
    stream = c.ask(H1, END_HEADERS)
    body = backend.request()
    overloads = Overloads()
    buffers.fill()
    n = overloads()
    frame = struct.pack(">IBI", 2000 << 8 | DATA, END_STREAM, stream) + b"a" * 2000
    c.s.sendall(frame[:1000])
    until = time.time() + 5
    while overloads() == n and time.time() < until:
        time.sleep(0.01)
    buffers.free()
    c.s.sendall(frame[1000:])
    body.settimeout(1)
    try:
        got = body.recv(65536)
    except (TimeoutError, ConnectionError) as e:
        got = e
    ok(not got or isinstance(got, Exception), "a backend does not get the rest of a body for the whole",
       str(got)[:40])
    closing(c.s)
    ok(is_gone(body), "but its end")
    s.close()


def untaken(buffers, backend):
    """A response that its client does not take is given up while buffers are short, and there is no
    memory to say so: what it may take then is not the end."""
    c = Client()
    c.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 10))
    stream = c.ask(H1)
    s = backend.request()
    s.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000)
    s.close()
    c.seen.append(c.until(lambda f: f[0] == DATA))
    buffers.fill()
    before, allocations = stats()["TIMEOUT"], fail(1)
    until = time.time() + 10
    while stats()["TIMEOUT"] == before and time.time() < until:
        time.sleep(0.05)
    is_tried = allocations() > 0
    fail(0)
    c.send(WINDOW, 0, stream, struct.pack(">I", 1 << 20))
    got = c.end(stream)
    ok(is_tried and got == ("reset", INTERNAL_ERROR), "no memory to give a response up: it ends all the same",
       (is_tried, got))
    buffers.free()
    closing(c.s)


def main_buffers():
    buffers = Buffers()
    h1 = Backend(9141)
    got = buffers.fill()
    ok(got == BUFFERS, "all buffers are held", got)
    buffers.free()
    streams(buffers, h1)
    cookies(buffers)
    bodies(buffers, h1)
    unsent(buffers, h1)
    responses(buffers)
    ended(buffers)
    window(buffers)
    hole(buffers, h1)
    untaken(buffers, h1)
    got = buffers.fill()
    ok(got == BUFFERS, "and they all are back", got)
    buffers.free()


# ------------------------------------------------- memory

def fail(n):
    """The proxy's n-th allocation from now; tells how many there have been since."""
    os.write(3, b"fail %d\n" % n)
    before = stats()["allocations"]
    return lambda: stats()["allocations"] - before


def serve_h2(listener, accepted):
    while True:
        try:
            b = Backend2(listener)
            accepted.append(b.s)
            while (f := b.frame()):
                if f[0] == SETTINGS and not f[1] & 1:
                    b.send(SETTINGS, 1)
                if f[0] == HEADERS:
                    b.send_head(f[2], field(b":status", b"200"), END_HEADERS)
                    b.send(DATA, END_STREAM, f[2], b"ok")
            b.s.close()
        except OSError:
            pass


def attempts(h1, block, prepare, serve):
    """A request whose first, second, ... allocation fails, until there are none left: the numbers
    by what its client was told.  prepare() is called before each, serve(connection) while it is
    under way."""
    kept, told, wrong = [], {}, []
    n, is_reached = 0, True
    while is_reached and n < 200:
        n += 1
        c = Client()
        # What was given back before is theirs.
        others = [(c.ask(H1, END_HEADERS), h1.request()) for _ in range(6)]
        prepare()
        c.ping()
        overloads = Overloads()
        allocations = fail(n)
        stream = c.ask(block)
        try:
            serve(c)
        except OSError:
            pass
        got = c.end(stream)
        is_reached, counted = allocations() >= n, overloads()
        fail(0)
        if got == ("goaway", INTERNAL_ERROR):
            got = "closed"  # nghttp2 had no memory for HPACK, and says so itself
        elif is_reached and got != (200, b"ok") and not counted:
            wrong.append((n, "not counted", got))
        told.setdefault(got, []).append(n)
        if got != "closed":
            other, s = others.pop()
            c.send(DATA, END_STREAM, other, b"body")
            answer(s)
            if c.end(other) != (200, b"ok"):
                wrong.append((n, "another stream has ended", got))
        with socket.create_connection((addr, port), 10) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: nobody\r\nConnection: close\r\n\r\n")
            if s.recv(12)[9:12] != b"404":
                wrong.append((n, "another connection has ended", got))
        kept.append((c, others))
    return told, wrong


def behind(h1):
    """No memory for what is said to a frame: what had come behind that is lost, and what comes
    then does not complete a body."""
    frames = [(b"a" * 16384, 0), (b"b" * (32768 - 17 - 9 - 16384 - 9), 0), (b"c", END_STREAM)]
    whole = b"".join(data for data, _ in frames)
    wrong, n, is_reached = [], 0, True
    while is_reached and n < 20:
        n += 1
        c = Client()
        stream = c.ask(H1, END_HEADERS)
        s = h1.request()
        c.ping()
        allocations = fail(n)
        # One read, of a buffer, has all but the last frame.
        c.s.sendall(struct.pack(">IBIQ", 8 << 8 | PING, 0, 0, 0) + b"".join(
            struct.pack(">IBI", len(data) << 8 | DATA, flags, stream) + data for data, flags in frames))
        s.settimeout(1)
        got = b""
        try:
            while not got.endswith(b"0\r\n\r\n") and (more := s.recv(65536)):
                got += more
        except (TimeoutError, ConnectionError):
            pass
        is_reached = allocations() >= n
        fail(0)
        if got.endswith(b"0\r\n\r\n") and sum(got.count(x) for x in (b"a", b"b", b"c")) < len(whole):
            wrong.append((n, got[:100]))
        closing(c.s)
        s.close()
    ok(not wrong and n > 1, "no memory for a frame: no body without what came behind it", wrong)


def main_memory():
    h1 = Backend(9141)
    behind(h1)

    def serve_h1(c):
        if h1.listener in select.select([h1.listener, c.s], [], [], 10)[0]:
            answer(h1.request())

    told, wrong = attempts(h1, H1, lambda: None, serve_h1)
    ok(not wrong, "without memory: counted, and the other streams go on, if the connection can", wrong)
    # Of the client, and of its stream at least.
    ok(len(told.get(("reset", REFUSED_STREAM), [])) >= 2, "a stream for which there is none is refused", told)
    ok(set(told) - {(503, b"503 out of descriptors or memory\n"), (503, b"503 out of buffers\n")} ==
       {(200, b"ok"), "closed", ("reset", REFUSED_STREAM), ("reset", INTERNAL_ERROR)},
       "each is told, one way or the other", told)

    listener, accepted = socket.create_server((BACKENDS, 9142)), []
    threading.Thread(target=serve_h2, args=(listener, accepted), daemon=True).start()

    def drop():
        """The connection of the one before: each has a new one."""
        while accepted:
            try:
                accepted.pop(0).shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    told, wrong = attempts(h1, H2, drop, lambda c: None)
    ok(not wrong, "to a backend of HTTP/2: counted, and the other streams go on", wrong)
    lost = (502, b"502 the backend closed without a response\n")
    ok((200, b"ok") in told and lost in told, "to a backend of HTTP/2: each is told", told)


{"buffers": main_buffers, "memory": main_memory}[sys.argv[1]]()
