#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two requests on one connection: two_requests.py ADDR PORT http1|http2

Prints who answered the first (the name in weir-echo's answer), waits for a line, asks
again and prints that.  "-": no such answer.
"""
import re
import socket
import struct
import sys

addr, port, version = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.create_connection((addr, port), 10)
s.settimeout(10)
buf = b""


def take(n):
    global buf
    while len(buf) < n:
        got = s.recv(65536)
        if not got:
            raise EOFError
        buf += got
    out, buf = buf[:n], buf[n:]
    return out


def http1(path):
    global buf
    s.sendall(b"GET %s HTTP/1.1\r\nHost: any\r\n\r\n" % path)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += take(1)
    return take(int(re.search(rb"(?i)content-length: *(\d+)", head)[1]))


def frame(kind, flags, stream, payload):
    s.sendall(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) +
              struct.pack(">I", stream) + payload)


def http2(path, streams=iter((1, 3))):
    # Literals without indexing, without Huffman (RFC 7541 6.2.2).
    fields = ((b":method", b"GET"), (b":scheme", b"http"), (b":path", path),
              (b":authority", b"any"))
    head = b"".join(b"\0" + bytes([len(k)]) + k + bytes([len(v)]) + v for k, v in fields)
    stream, body = next(streams), b""
    if stream == 1:
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        frame(4, 0, 0, b"")
    frame(1, 5, stream, head)  # END_STREAM, END_HEADERS
    while True:
        h = take(9)
        payload = take(int.from_bytes(h[:3], "big"))
        if h[3] == 4 and not h[4] & 1:
            frame(4, 1, 0, b"")  # SETTINGS
        if int.from_bytes(h[5:9], "big") != stream:
            continue
        if h[3] == 0:
            body += payload
        if h[3] == 3 or h[4] & 1:
            return body


def ask(path):
    try:
        found = re.search(rb'"name": *"([^"]*)"', (http1 if version == "http1" else http2)(path))
    except (EOFError, OSError):
        found = None
    print(found[1].decode() if found else "-", flush=True)


ask(b"/first")
sys.stdin.readline()
ask(b"/second")
