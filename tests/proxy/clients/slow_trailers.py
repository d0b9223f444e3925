#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A backend whose trailers come in parts: slow_trailers.py ADDRESS PORT FILE

Each answer is "hello" in a chunk and two trailers, byte by byte.  FILE is made when it listens.
"""
import socket
import sys
import threading
import time

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: grpc-status, x-last\r\n\r\n5\r\nhello\r\n"
END = b"0\r\ngrpc-status: 0\r\nx-last: behind all the others\r\n\r\n"


def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        got = b""
        while True:
            while b"\r\n\r\n" not in got:
                data = connection.recv(65536)
                if not data:
                    return
                got += data
            got = got.partition(b"\r\n\r\n")[2]
            connection.sendall(HEAD)
            for byte in END:
                time.sleep(0.003)
                connection.sendall(bytes([byte]))


listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
open(sys.argv[3], "w", encoding="ascii").close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
