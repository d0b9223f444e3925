# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for tests/proxy/test-activate.sh.

    knative.py autoscaler ADDRESS PORT LOG   a WebSocket server, whose library
        checks the protocol; writes what each binary message says to LOG, one
        line a stat: SECONDS NAMESPACE NAME REPORTER CONCURRENCY REQUESTS
    knative.py queue ADDRESS PORT SECONDS NAME [PROGRAM]   answers probes as
        queue-proxy does, with 200 only SECONDS after its start; and other
        requests with their head.  With a port PROGRAM it keeps the answer back
        until then, and listens there after a second
"""
import asyncio
import struct
import sys
import time


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Of a protobuf message: (number, value)."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 2:
            n, at = varint(data, at)
            assert at + n <= len(data)
            yield tag >> 3, data[at:at + n]
            at += n
        elif tag & 7 == 1:
            yield tag >> 3, struct.unpack('<d', data[at:at + 8])[0]
            at += 8
        else:
            raise ValueError(f'wire type {tag & 7}')


def read_stats(data):
    for number, message in fields(data):
        assert number == 1
        message = dict(fields(message))
        stat = dict(fields(message.pop(3)))
        assert set(message) == {1, 2} and set(stat) <= {1, 2, 4}, (message, stat)
        yield (message[1].decode(), message[2].decode(), stat[1].decode(),
               stat.get(2, 0.0), stat.get(4, 0.0))


async def autoscaler(address, port, log):
    import websockets

    out = open(log, 'a', buffering=1, encoding='utf-8')

    async def on_connection(ws, *_):
        async for message in ws:
            assert isinstance(message, bytes)
            for ns, name, reporter, concurrency, requests in read_stats(message):
                out.write(f'{time.time():.3f} {ns} {name} {reporter} '
                          f'{concurrency:.2f} {requests:.0f}\n')

    async with websockets.serve(on_connection, address, int(port)):
        print('ready', flush=True)
        await asyncio.Future()


async def queue(address, port, seconds, name, program=None):
    ready_at = time.monotonic() + float(seconds)

    async def on_connection(reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1')
                lines = head.lower().split('\r\n')
                status, body = '200 OK', f'{name}\n{head}'
                if 'k-network-probe: queue' in lines:
                    body = 'queue'
                    if program:
                        await asyncio.sleep(ready_at - time.monotonic())
                    if time.monotonic() < ready_at:
                        status, body = '503 Service Unavailable', ''
                    if not lines[0].startswith('get /healthz ') or \
                            'user-agent: knative-activator-probe' not in lines:
                        status, body = '400 Bad Request', head
                elif '/wait/' in lines[0]:
                    await asyncio.sleep(float(lines[0].split('/wait/')[1].split()[0]))
                writer.write(f'HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n'
                             f'\r\n{body}'.encode('latin-1'))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(on_connection, address, int(port), backlog=512)
    print('ready', flush=True)
    if program:
        await asyncio.sleep(1)
        await asyncio.start_server(on_connection, address, int(program))
    await server.serve_forever()


asyncio.run({'autoscaler': autoscaler, 'queue': queue}[sys.argv[1]](*sys.argv[2:]))
