#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two requests on one TLS connection: tls_standing.py GATEWAY PORT HOST: prints the status of the first, waits for a line of input, and prints that of the second."""
import socket
import ssl
import sys

gateway, port, host = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
s = context.wrap_socket(socket.create_connection((gateway, int(port)), 10), server_hostname=host)


def ask():
    s.sendall(f"GET /bytes/100 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    got = b""
    while b"\r\n\r\n" not in got:
        got += s.recv(4096)
    head, body = got.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length:")[1].split()[0])
    while len(body) < length:
        body += s.recv(4096)
    print(head.split()[1].decode(), flush=True)


ask()
sys.stdin.readline()
ask()
