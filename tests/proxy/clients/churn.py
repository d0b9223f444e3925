# SPDX-License-Identifier: Apache-2.0
"""Pipelining and WebSocket clients, and the backends of the latter, for plans
that change meanwhile; and endpoints that are gone, come back or say nothing.

	churn.py serve ADDR:PORT...
	churn.py load ADDR:PORT SECONDS
	churn.py failures ADDR:PORT CONNECTIONS
	churn.py back ADDR:PORT BACKEND-ADDR:PORT
	churn.py silent ADDR:PORT

"load" prints one line of JSON: what was answered, and what failed.  "failures"
prints how many of twenty requests on each connection do not get 200.  "back"
prints all pairs that it sees: the status from the host "one", whose only endpoint
is BACKEND and not there, and then, when it is, from the host "churn".  "silent"
answers no SYN.
"""

import asyncio
import base64
import hashlib
import http.client
import http.server
import itertools
import json
import os
import socket
import sys
import threading
import time

DEPTH = 16  # requests in one write
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + MAGIC).digest())


async def head_of(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in head[1:] if line)
    return head[0], {k.lower(): v for k, v in fields.items()}


def frame(payload, mask):
    """A binary message that is not fragmented (RFC 6455 5.2)."""
    head = bytes([0x82, (0x80 if mask else 0) | len(payload)])
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(b ^ k for b, k in zip(payload, itertools.cycle(key)))


async def message(reader):
    head = await reader.readexactly(2)
    key = await reader.readexactly(4) if head[1] & 0x80 else bytes(4)
    data = await reader.readexactly(head[1] & 0x7F)
    return bytes(b ^ k for b, k in zip(data, itertools.cycle(key)))


async def serve(reader, writer):
    try:
        _, fields = await head_of(reader)
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_of(fields[b"sec-websocket-key"]) + b"\r\n\r\n"
        )
        while True:
            writer.write(frame(await message(reader), False))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


class Load:
    def __init__(self, addr, port, seconds):
        self.addr, self.port = addr, port
        self.end = time.monotonic() + seconds
        self.count = {"answers": 0, "connections": 0, "messages": 0, "sessions": 0}
        self.names = set()
        self.failures = []

    def is_on(self):
        return time.monotonic() < self.end

    async def pipeline(self, number):
        """One connection for all the time: DEPTH requests, DEPTH answers."""
        reader, writer = await asyncio.open_connection(self.addr, self.port)
        self.count["connections"] += 1
        for turn in itertools.count():
            if not self.is_on():
                break
            paths = [f"/{number}/{turn}/{i}" for i in range(DEPTH)]
            writer.write("".join(f"GET {p} HTTP/1.1\r\nHost: churn\r\n\r\n" for p in paths).encode())
            for path in paths:
                status, fields = await head_of(reader)
                body = await reader.readexactly(int(fields[b"content-length"]))
                if b" 200 " not in status:
                    raise ValueError(f"{path}: {status}")
                said = json.loads(body)
                if said["target"] != path:
                    raise ValueError(f"{path}: the answer to {said['target']}")
                self.names.add(said["name"])
                self.count["answers"] += 1
        writer.close()

    async def session(self, number):
        """WebSockets of a second, one after the other."""
        while self.is_on():
            reader, writer = await asyncio.open_connection(self.addr, self.port)
            key = base64.b64encode(os.urandom(16))
            writer.write(
                b"GET /chat HTTP/1.1\r\nHost: ws\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
            )
            status, fields = await head_of(reader)
            if b" 101 " not in status or fields[b"sec-websocket-accept"] != accept_of(key):
                raise ValueError(f"handshake {number}: {status}")
            self.count["sessions"] += 1
            until = time.monotonic() + 1
            while time.monotonic() < until:
                said = os.urandom(64)
                writer.write(frame(said, True))
                if await message(reader) != said:
                    raise ValueError(f"session {number}: another message")
                self.count["messages"] += 1
                await asyncio.sleep(0.005)
            writer.close()

    async def one(self, what, number):
        try:
            await what(number)
        except Exception as e:  # whatever it is, it is a failure
            self.failures.append(f"{what.__name__} {number}: {e!r}")

    async def all(self):
        await asyncio.gather(
            *(self.one(self.pipeline, i) for i in range(8)),
            *(self.one(self.session, i) for i in range(16)),
        )
        print(json.dumps({**self.count, "names": sorted(self.names), "failures": self.failures[:5]}))
        return 1 if self.failures else 0


def where(text):
    addr, port = text.rsplit(":", 1)
    return addr, int(port)


def status_of(conn, host, **headers):
    conn.request("GET", "/", headers={"Host": host, **headers})
    response = conn.getresponse()
    response.read()
    return response.status


def failures(proxy, connections):
    failed = 0
    for _ in range(connections):
        conn = http.client.HTTPConnection(*proxy, timeout=10)
        failed += sum(status_of(conn, "churn") != 200 for _ in range(20))
    print(failed)


class Empty(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def back(proxy, backend):
    def ask(host):
        return status_of(http.client.HTTPConnection(*proxy, timeout=10), host, Connection="close")

    seen = set()
    for _ in range(8):
        before = ask("one")
        server = http.server.HTTPServer(backend, Empty)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        seen.add((before, ask("churn")))
        server.shutdown()
        server.server_close()
        thread.join()
        time.sleep(1.1)  # nobody is noted any more
    print(*sorted(seen))


def silent(address):
    """A listener that is full and accepts nothing."""
    listener = socket.socket()
    listener.bind(address)
    listener.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for s in waiting:
        s.setblocking(False)
        s.connect_ex(address)
    print("ready", flush=True)
    threading.Event().wait()


async def main():
    if sys.argv[1] == "serve":
        for text in sys.argv[2:]:
            await asyncio.start_server(serve, *where(text))
        print("ready", flush=True)
        await asyncio.Event().wait()
    return await Load(*where(sys.argv[2]), float(sys.argv[3])).all()


if sys.argv[1] == "failures":
    failures(where(sys.argv[2]), int(sys.argv[3]))
elif sys.argv[1] == "back":
    back(where(sys.argv[2]), where(sys.argv[3]))
elif sys.argv[1] == "silent":
    silent(where(sys.argv[2]))
else:
    sys.exit(asyncio.run(main()))
