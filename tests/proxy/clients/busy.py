#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""busy.py ADDRESS PORT up|down N SECONDS: N transfers whose senders always have
bytes and whose receivers always have room, so that the proxy in between is what
they wait for.  Prints how many went on to the end, and what became of one that
did not.
"""

import os
import socket
import sys
import threading
import time

TO, WAY = (sys.argv[1], int(sys.argv[2])), sys.argv[3]
N, SECONDS = int(sys.argv[4]), float(sys.argv[5])
CHUNKS = (b"400\r\n" + b"x" * 1024 + b"\r\n") * 512
PUT = (b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 9000000000000\r\n\r\n")
GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
zeros = os.memfd_create("zeros")
os.ftruncate(zeros, 1 << 24)
until = time.monotonic() + SECONDS
faults = []


def send(s):
    """In pieces of a chunk or of a body, as WAY is, until the end."""
    while time.monotonic() < until:
        if WAY == "up":
            os.sendfile(s.fileno(), zeros, 0, 1 << 20)
        else:
            s.sendall(CHUNKS)


def receive(s):
    room = bytearray(1 << 20)
    while time.monotonic() < until:
        if not s.recv_into(room, len(room), socket.MSG_TRUNC):
            raise EOFError("ended")


def serve(s):
    try:
        if WAY == "up":
            receive(s)
        else:
            s.recv(65536)
            s.sendall(OK)
            send(s)
    except (OSError, EOFError):
        pass  # its client says so


def accept(listener):
    while True:
        s, _ = listener.accept()
        threading.Thread(target=serve, args=(s,), daemon=True).start()


def ask():
    s = socket.create_connection(TO)
    try:
        s.sendall(PUT if WAY == "up" else GET)
        (send if WAY == "up" else receive)(s)
    except (OSError, EOFError) as e:
        try:
            answer = s.recv(100)
        except OSError:
            answer = b""
        faults.append(f"{e} {answer.decode().split(chr(13))[0]}".strip())


listener = socket.create_server(("127.0.1.1", 9101), backlog=64)
threading.Thread(target=accept, args=(listener,), daemon=True).start()
clients = [threading.Thread(target=ask) for _ in range(N)]
for c in clients:
    c.start()
for c in clients:
    c.join()
print(f"{N - len(faults)} of {N}", *faults[:1])
os._exit(0)
