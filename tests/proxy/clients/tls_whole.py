#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Slow readers of bodies that end with the connection: tls_whole.py GATEWAY PORT HOST N [raw]

N clients of HTTP/1.0, side by side, read bodies of different lengths slowly, so that the socket is full when the last
byte goes into it.  Each must be told that it was all (close_notify, RFC 8446 6.1): without, a body that ends with its
connection may have been cut.  raw: through a listener that passes bytes on, in HTTP/1.1 with Connection: close.
"""
import random
import socket
import ssl
import sys
import threading
import time

gateway, port, host, n = sys.argv[1:5]
is_raw = sys.argv[5:] == ["raw"]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
bad = []


def fetch(size, piece):
    try:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(30)
        s.connect((gateway, int(port)))
        s = context.wrap_socket(s, server_hostname=host, suppress_ragged_eofs=False)
        head = f"GET /bytes/{size}/chunked HTTP/1.0\r\nHost: {host}\r\n\r\n"
        if is_raw:
            head = f"GET /bytes/{size} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        s.sendall(head.encode())
        time.sleep(0.3)
        got = b""
        while more := s.recv(piece):
            got += more
            time.sleep(0.0002)
        body = got.split(b"\r\n\r\n", 1)[1]
        if len(body) != size:
            bad.append(f"{len(body)} of {size} bytes")
    except Exception as e:
        bad.append(f"{size} bytes: {e!r}")


random.seed(1)
threads = [threading.Thread(target=fetch, args=(random.randrange(200000, 400000), 65536)) for _ in range(int(n))]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(len(bad), *bad[:3], sep="\n")
sys.exit(1 if bad else 0)
