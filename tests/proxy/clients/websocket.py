# SPDX-License-Identifier: Apache-2.0
"""python3-websockets: "serve ADDR PORT" echoes; "client URL" talks to it through
the proxy, a line of TAP without its number for each check."""
import asyncio
import sys

import websockets


async def echo(ws, *_):
    async for message in ws:
        await ws.send(message)


async def serve(addr, port):
    async with websockets.serve(echo, addr, int(port), max_size=None):
        print("ready", flush=True)
        await asyncio.Future()


def check(text, is_true):
    print("%s - websockets: %s" % ("ok" if is_true else "not ok", text), flush=True)


async def client(url):
    async with websockets.connect(url, max_size=None) as ws:
        right = 0
        for i in range(300):
            message = "x%d" % i if i % 2 else b"\x00\x81" * i
            await ws.send(message)
            right += await ws.recv() == message
        check("300 messages, text and binary", right == 300)
        big = bytes(range(256)) * 16384
        await ws.send(big)
        check("4 MiB in one message", await ws.recv() == big)
        await ws.send(["a", "b", "c"])
        check("fragments", await ws.recv() == "abc")
        await asyncio.wait_for(await ws.ping(), 5)
        check("ping", True)
        await ws.close(1000, "done")
        check("close", ws.close_code == 1000)
    many = [await websockets.connect(url) for _ in range(50)]
    for i, ws in enumerate(many):
        await ws.send(str(i))
    heard = [await ws.recv() for ws in many]
    check("50 at once", heard == [str(i) for i in range(50)])
    for ws in many:
        await ws.close()
    try:
        await websockets.connect(url.replace("/ws", "/http"))
        check("refused by a server that knows none", False)
    except websockets.InvalidStatusCode as e:
        check("refused by a server that knows none", e.status_code == 200)


asyncio.run(serve(*sys.argv[2:]) if sys.argv[1] == "serve" else client(sys.argv[2]))
