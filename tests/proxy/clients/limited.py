# SPDX-License-Identifier: Apache-2.0
"""Pods for tests/proxy/test-queue.sh.

    limited.py LOG NAME=ADDRESS:PORT...   servers that say what is under way in
        each: GET /wait/SECONDS/ID is answered with NAME after SECONDS, and two
        lines are written to LOG, "NAME begin ID N" and "NAME end ID N"; N: how
        many are under way there, with it
"""
import asyncio
import sys


async def serve(log, name, address, port):
    under_way = 0

    async def on_connection(reader, writer):
        nonlocal under_way
        try:
            while True:
                head = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1')
                _, _, seconds, id_ = head.split()[1].split('/')
                under_way += 1
                log.write(f'{name} begin {id_} {under_way}\n')
                # As queue-proxy does: who asked may go away.
                gone = asyncio.ensure_future(reader.read(1))
                await asyncio.wait({gone}, timeout=float(seconds))
                log.write(f'{name} end {id_} {under_way}\n')
                # Not under way any more before the other side knows.
                under_way -= 1
                if gone.done():
                    break
                gone.cancel()
                await asyncio.gather(gone, return_exceptions=True)
                writer.write(f'HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\n'
                             f'\r\n{name}'.encode('latin-1'))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    await asyncio.start_server(on_connection, address, int(port), backlog=512)


async def main(log, *pods):
    out = open(log, 'a', buffering=1, encoding='utf-8')
    for pod in pods:
        name, _, at = pod.partition('=')
        address, _, port = at.rpartition(':')
        await serve(out, name, address, port)
    print('ready', flush=True)
    await asyncio.Future()


asyncio.run(main(*sys.argv[1:]))
