# SPDX-License-Identifier: Apache-2.0
"""How h11 reads streams of requests, as a server that answers each of them.

In: u32 size of a batch, then u32 size and bytes of each stream; out: a line
each (reading.h)."""
import struct
import sys
import zlib

import h11

DENY = h11.Response(status_code=400, headers=[("Content-Length", "0")])


def read(data):
    conn = h11.Connection(h11.SERVER, max_incomplete_event_size=16384)
    conn.receive_data(data)
    messages = []
    is_open = False
    end, reason = ".", "-"
    while True:
        try:
            event = conn.next_event()
        except h11.RemoteProtocolError as e:
            end = "F" if is_open else "E"
            reason = str(e).replace(" ", "_")[:60]
            break
        if event is h11.NEED_DATA:
            end = "B" if is_open else "H" if conn.trailing_data[0] else "."
            break
        if isinstance(event, h11.Request):
            host = b""
            for name, value in event.headers:
                if name == b"host":
                    host = value
            messages.append([zlib.crc32(event.method), zlib.crc32(event.target),
                             zlib.crc32(host), 0, 0])
            is_open = True
        elif isinstance(event, h11.Data):
            messages[-1][3] += len(event.data)
            messages[-1][4] = zlib.crc32(event.data, messages[-1][4])
        elif isinstance(event, h11.EndOfMessage):
            is_open = False
            conn.send(DENY)
            conn.send(h11.EndOfMessage())
            if conn.our_state is not h11.DONE or conn.their_state is not h11.DONE:
                end = "C"
                break
            conn.start_next_cycle()
        else:
            end = "C"
            break
    return " ".join([end, reason or "-"] + ["%x,%x,%x,%d,%x" % tuple(m) for m in messages])


def read_response(data):
    conn = h11.Connection(h11.CLIENT, max_incomplete_event_size=16384)
    conn.send(h11.Request(method="HEAD" if data[:1] == b"H" else "GET", target="/",
                          headers=[("Host", "t")]))
    conn.send(h11.EndOfMessage())
    messages = []
    is_open = False
    end, reason = "C", "-"
    try:
        if data[1:]:
            conn.receive_data(data[1:])
        conn.receive_data(b"")
        while True:
            event = conn.next_event()
            if isinstance(event, (h11.InformationalResponse, h11.Response)):
                messages.append([event.status_code, 0, 0, 0, 0])
                is_open = isinstance(event, h11.Response)
            elif isinstance(event, h11.Data):
                messages[-1][3] += len(event.data)
                messages[-1][4] = zlib.crc32(event.data, messages[-1][4])
            else:
                break
    except h11.RemoteProtocolError as e:
        reason = str(e).replace(" ", "_")[:60]
        end = "F" if is_open else "E"
        # All of these say that the stream ended too early.
        if reason.startswith(("peer_closed", "peer_unexpectedly_closed")):
            end = "B" if is_open else "H"
    return " ".join([end, reason] + ["%x,%x,%x,%d,%x" % tuple(m) for m in messages])


def main():
    is_response = sys.argv[1:] == ["response"]
    inp, out = sys.stdin.buffer, sys.stdout.buffer
    while True:
        head = inp.read(4)
        if len(head) < 4:
            return
        batch = inp.read(struct.unpack("<I", head)[0])
        lines = []
        at = 0
        while at < len(batch):
            n = struct.unpack_from("<I", batch, at)[0]
            stream = batch[at + 4:at + 4 + n]
            lines.append((read_response if is_response else read)(stream) + "\n")
            at += 4 + n
        out.write("".join(lines).encode("latin-1", "replace"))
        out.flush()


main()
