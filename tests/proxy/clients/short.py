#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Buffers that run short, and who pays for it.

    short.py ADDRESS PORT slow|streams|answered|tunnels

slow, streams: one client of HTTP/1.1, or one of HTTP/2 with a hundred streams,
that reads all the time, slowly, from before others that take nothing hold all
buffers.  Prints what became of it, and what a new client gets then.

answered, tunnels: streams whose responses are there whole, or connections of
TCP (port 8081), whose clients take nothing, hold all buffers.  Prints what
another client gets before, then, and at the end.
"""
import os
import socket
import struct
import sys
import threading
import time

import h2_hand
from h2_hand import DATA, END_STREAM, GOAWAY, RST, SETTINGS, WINDOW

TO = (sys.argv[1], int(sys.argv[2]))
RATE = 100_000  # bytes a second
BEFORE, AFTER = 8, 10  # s: longer than the five that clients have
STREAMS = 100
result = ""


def end():
    return begun + BEFORE + AFTER


def read_h1():
    global result
    s = socket.create_connection(TO)
    s.settimeout(10)
    s.sendall(b"GET /chunked/bytes/200000000 HTTP/1.1\r\nHost: t\r\n\r\n")
    result = "served"
    while time.monotonic() < end():
        try:
            if not s.recv(RATE // 5):
                raise EOFError
        except (OSError, EOFError):
            result = "cut"
            return
        time.sleep(0.2)


def read_h2():
    global result
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    s.connect(TO)
    s.settimeout(10)
    c = h2_hand.Conn(None, None, s)
    c.s.sendall(h2_hand.PREFACE)
    c.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 20))
    c.send(WINDOW, 0, 0, struct.pack(">I", 0x7fff0000 - 65535))
    for i in range(STREAMS):
        c.send_head(2 * i + 1, h2_hand.head(b"/bytes/30000"))
    whole = cut = total = 0
    while whole + cut < STREAMS:
        f = c.frame()
        if not f or f[0] == GOAWAY:
            cut = STREAMS - whole
            break
        total += len(f[3]) + 9
        ahead = total / RATE - (time.monotonic() - begun)
        if ahead > 0.05:
            time.sleep(ahead)
        if f[0] == SETTINGS and not f[1]:
            c.send(SETTINGS, 1)
        cut += f[0] == RST
        whole += f[0] == DATA and f[1] & END_STREAM
    result = f"{whole} whole, {cut} cut"


def hoard(path):
    """A connection that asks for much and lets nothing come."""
    c = h2_hand.Conn(*TO)
    c.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
    for i in range(STREAMS):
        c.send_head(2 * i + 1, h2_hand.head(path))
    return c


def beside(reader):
    t = threading.Thread(target=reader)
    t.start()
    time.sleep(BEFORE)
    conns = [hoard(b"/bytes/1000000") for _ in range(4)]
    t.join()
    print(f"{result}, then {ask()}")
    del conns


def slow():
    beside(read_h1)


def streams():
    beside(read_h2)


def ask():
    with socket.create_connection(TO) as s:
        s.settimeout(5)
        s.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        return s.recv(12)[9:12].decode()


def await_room(take):
    """What a client gets before, while and after others take all buffers."""
    held = []
    answers = [ask()]
    while answers[-1] == "200" and len(held) < 1000:
        held += take()
        time.sleep(0.2)
        answers.append(ask())
    until = time.monotonic() + 15
    while time.monotonic() < until and answers[-1] != "200":
        time.sleep(0.2)
        answers.append(ask())
    print(f"{answers[0]}, {answers.count('503') > 0 and '503'}, {answers[-1]}")


def open_tunnels():
    for _ in range(20):
        s = socket.create_connection((TO[0], 8081))
        s.sendall(b"GET /bytes/200000000 HTTP/1.1\r\nHost: t\r\n\r\n")
        yield s


def tunnels():
    await_room(open_tunnels)


def answered():
    await_room(lambda: [hoard(b"/bytes/10000")])


begun = time.monotonic()
globals()[sys.argv[3]]()
os._exit(0)
