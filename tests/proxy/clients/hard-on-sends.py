# SPDX-License-Identifier: Apache-2.0
"""Clients that are hard on what waits in a proxy.

    hard-on-sends.py ADDRESS PORT late|end|gone

late: 16 clients at a time each send 3000 requests without reading, until
nothing moves any more, and then read: every response must come whole.
end: the same with 1 to 128 requests, after which they say that these are all: what
fills the socket to the last byte must not be dropped with it.
gone: 800 connections that send requests and go, most with responses on their
way to them.
"""
import socket
import struct
import sys
import threading
import time

SIZE = 2000
REQUEST = b"GET /bytes/%d HTTP/1.1\r\nHost: t\r\nX-Pad: %s\r\n\r\n" % (SIZE, b"x" * 900)
SMALL = b"GET /bytes/300 HTTP/1.1\r\nHost: t\r\n\r\n"
failures = []


def connect(rcvbuf):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    s.settimeout(60)
    s.connect((sys.argv[1], int(sys.argv[2])))
    return s


def send_until_full(s, data):
    """What is left of data when the peer has taken nothing for half a second."""
    s.settimeout(0.5)
    try:
        while data:
            data = data[s.send(data[:20000]):]
    except TimeoutError:
        pass
    s.settimeout(60)
    return data


def read_responses(f, n, size=SIZE):
    for _ in range(n):
        line = f.readline()
        if not line.startswith(b"HTTP/1.1 200 "):
            raise ValueError(f"status line {line!r}")
        length = None
        while (line := f.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if length != size or len(f.read(size)) != size:
            raise ValueError("a body of another length")


def late(_):
    n = 3000
    s = connect(4096)
    left = send_until_full(s, REQUEST * n)
    if not left:
        raise ValueError("all was taken: nothing waited")
    rest = threading.Thread(target=s.sendall, args=(left,))
    rest.start()
    read_responses(s.makefile("rb"), n)
    rest.join()
    s.close()


def end(i):
    for n in range(i % 4 + 1, 129, 4):
        s = connect(4096)
        s.sendall(SMALL * n)
        s.shutdown(socket.SHUT_WR)
        time.sleep(0.05)  # until it is full: nobody reads
        f = s.makefile("rb")
        read_responses(f, n, 300)
        if f.read():
            raise ValueError("more than was asked for")
        s.close()


def gone(i):
    for k in range(50):
        s = connect(4096)
        s.sendall(REQUEST * (1 + (i + k) % 40))
        if k % 3 == 0:
            s.recv(100)
        if k % 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()


def run(fn, i):
    try:
        fn(i)
    except (OSError, ValueError) as e:
        failures.append(f"{fn.__name__} {i}: {e}")


threads = [
    threading.Thread(target=run, args=({"late": late, "end": end, "gone": gone}[sys.argv[3]], i))
    for i in range(16)
]
for t in threads:
    t.start()
for t in threads:
    t.join()
for f in failures[:5]:
    print("#", f)
sys.exit(bool(failures))
