#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Idle TLS connections: tls_idle.py GATEWAY PORT HOST N: each with one request behind it; says "ready", and waits for the end of its input."""
import socket
import ssl
import sys

gateway, port, host, n = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
kept = []
for _ in range(int(n)):
    s = context.wrap_socket(socket.create_connection((gateway, int(port)), 10), server_hostname=host)
    s.sendall(f"GET /bytes/100 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    got = b""
    while got.count(b"\r\n\r\n") == 0 or len(got.split(b"\r\n\r\n", 1)[1]) < 100:
        got += s.recv(4096)
    kept.append(s)
print("ready", flush=True)
sys.stdin.read()
