#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client that says good-bye and is gone while its backend still sends: tls_gone.py GATEWAY PORT HOST BACKEND PORT

Through a listener that terminates TLS and passes bytes on: close_notify, then a reset; then the backend sends, twice,
so that a write fails behind close_notify.
"""
import socket
import ssl
import struct
import sys
import time

gateway, port, host, backend, backend_port = sys.argv[1:]
listener = socket.create_server((backend, int(backend_port)))
listener.settimeout(10)
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
to_it, from_it = ssl.MemoryBIO(), ssl.MemoryBIO()
client = socket.create_connection((gateway, int(port)), 10)
tls = context.wrap_bio(to_it, from_it, server_hostname=host)


def step(operation):
    while True:
        try:
            return operation()
        except ssl.SSLWantReadError:
            client.sendall(from_it.read())
            to_it.write(client.recv(65536))


step(tls.do_handshake)
tls.write(b"hello")
client.sendall(from_it.read())
peer = listener.accept()[0]
peer.settimeout(10)
assert peer.recv(100) == b"hello"
try:
    tls.unwrap()
except ssl.SSLWantReadError:
    pass
client.sendall(from_it.read())
assert peer.recv(100) == b"", "the backend hears that there is no more"
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
client.close()
for _ in range(5):
    time.sleep(0.2)
    try:
        peer.sendall(b"more" * 1000)
    except OSError:
        break
