# SPDX-License-Identifier: Apache-2.0
"""idle.py ADDR PORT N: opens, asks on and closes N connections, as told by lines
of standard input; answers each with how many of them did what they should."""
import socket
import sys

addr, port, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
request = b"GET /bytes/26 HTTP/1.1\r\nHost: t\r\n\r\n"
sockets = []


def ask(s):
    s.sendall(request)
    got = b""
    while not got.endswith(b"abcdefghijklmnopqrstuvwxyz"):
        piece = s.recv(4096)
        if not piece:
            return False
        got += piece
    return got.startswith(b"HTTP/1.1 200 ")


for line in sys.stdin:
    right = 0
    if line == "open\n":
        for _ in range(n):
            s = socket.create_connection((addr, port), 20)
            sockets.append(s)
            right += ask(s)
    elif line == "ask\n":
        right = sum(ask(s) for s in sockets)
    else:
        for s in sockets:
            s.close()
        right = len(sockets)
    print(right, flush=True)
