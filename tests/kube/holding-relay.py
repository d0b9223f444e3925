#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Between an agent and an API server: holds requests until a file is there.

	holding-relay.py PORT SERVER:PORT PKI PATH DIRECTORY

Listens at 127.0.0.1:PORT for HTTP/1.1 and speaks TLS with the server, as the
administrator of PKI.  A GET of PATH waits for DIRECTORY/go; DIRECTORY/held and
DIRECTORY/answered get a line for each that came, and was answered.
"""
import os
import select
import socket
import ssl
import sys
import threading
import time

port, server, pki, path, directory = sys.argv[1:]
host, _, server_port = server.rpartition(":")
context = ssl.create_default_context(cafile=f"{pki}/ca.crt")
context.load_cert_chain(f"{pki}/admin.crt", f"{pki}/admin.key")
held = tuple(f"GET {path}{end}".encode() for end in (" ", "?"))


def note(name):
    with open(f"{directory}/{name}", "a", encoding="ascii") as f:
        f.write("1\n")


def relay(client):
    with client, context.wrap_socket(socket.create_connection((host, int(server_port))), server_hostname=host) as up:
        is_held = False
        while True:
            ready = [up] if up.pending() else select.select([client, up], [], [])[0]
            if client in ready:
                data = client.recv(65536)
                if data.startswith(held):
                    is_held = True
                    note("held")
                    while not os.path.exists(f"{directory}/go"):
                        time.sleep(0.01)
                up.sendall(data)
            if up in ready:
                # What came may be of TLS alone: a ticket.
                up.settimeout(0)
                try:
                    data = up.recv(65536)
                except ssl.SSLWantReadError:
                    continue
                finally:
                    up.settimeout(None)
                client.sendall(data)
                if is_held:
                    note("answered")
                is_held = False
            if not data:
                return


listener = socket.create_server(("127.0.0.1", int(port)), backlog=64)
while True:
    threading.Thread(target=relay, args=(listener.accept()[0],), daemon=True).start()
