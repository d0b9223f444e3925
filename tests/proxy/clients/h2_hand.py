# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand, to say what libraries do not: for the programs beside it."""
import socket
import struct

DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = \
    0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
NO_ERROR, PROTOCOL_ERROR, CALM = 0, 1, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def field(name, value):
    """A literal without indexing, without Huffman (RFC 7541 6.2.2)."""
    def string(s):
        if len(s) < 127:
            return bytes([len(s)]) + s
        out, k = b"\x7f", len(s) - 127
        while k >= 128:
            out += bytes([k % 128 + 128])
            k //= 128
        return out + bytes([k]) + s
    return b"\0" + string(name) + string(value)


def head(path=b"/bytes/10", method=b"GET", authority=b"t", scheme=b"http", more=()):
    out = field(b":method", method) + field(b":scheme", scheme)
    out += field(b":path", path)
    if authority is not None:
        out += field(b":authority", authority)
    for name, value in more:
        out += field(name, value)
    return out


class Conn:
    """A client's connection, its preface sent; or s, of either side."""

    def __init__(self, addr, port, s=None):
        self.s = s or socket.create_connection((addr, port), 10)
        self.s.settimeout(10)
        self.buf = b""
        if not s:
            self.s.sendall(PREFACE)
            self.send(SETTINGS)

    def send(self, kind, flags=0, stream=0, payload=b""):
        self.s.sendall(struct.pack(">I", len(payload))[1:] +
                       bytes([kind, flags]) + struct.pack(">I", stream) + payload)

    def send_head(self, stream, block, flags=END_HEADERS | END_STREAM):
        """In as many frames as it takes."""
        pieces = [block[i:i + 16000] for i in range(0, len(block), 16000)]
        for i, piece in enumerate(pieces):
            here = flags if i == 0 else flags & END_HEADERS
            self.send(CONTINUATION if i else HEADERS, here if piece is pieces[-1] else here & ~END_HEADERS, stream, piece)

    def frame(self):
        """(kind, flags, stream, payload), or None at the end."""
        try:
            while len(self.buf) < 9 or len(self.buf) < 9 + int.from_bytes(self.buf[:3], "big"):
                got = self.s.recv(65536)
                if not got:
                    return None
                self.buf += got
        except ConnectionError:
            return None
        size = int.from_bytes(self.buf[:3], "big")
        f = (self.buf[3], self.buf[4], int.from_bytes(self.buf[5:9], "big"), self.buf[9:9 + size])
        self.buf = self.buf[9 + size:]
        return f

    def until(self, want):
        while (f := self.frame()):
            if want(f):
                return f
        return None

    def goaway(self):
        f = self.until(lambda f: f[0] == GOAWAY)
        return f and int.from_bytes(f[3][4:8], "big")

    def answer(self, stream):
        """The status of a stream's response, or ("reset", code)."""
        f = self.until(lambda f: f[2] == stream and f[0] in (HEADERS, RST) or f[0] == GOAWAY)
        if not f:
            return None
        if f[0] == RST:
            return ("reset", int.from_bytes(f[3], "big"))
        if f[0] == GOAWAY:
            return ("goaway", int.from_bytes(f[3][4:8], "big"))
        return status(f[3])


def status(block):
    """Of a response's first HEADERS frame on its connection."""
    # Of the static table, or a literal of three digits.
    table = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}
    b = block[1:] if block[:1] == b"\x20" else block
    if b[0] in table:
        return table[b[0]]
    size = b[1] & 0x7F
    return int(b[2:2 + size]) if not b[1] & 0x80 else huffman_digits(b[2:2 + size])


def huffman_digits(data):
    codes = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4",
             "011011": "5", "011100": "6", "011101": "7", "011110": "8", "011111": "9"}
    bits, out = "".join(f"{b:08b}" for b in data), ""
    while len(out) < 3:
        for size in (5, 6):
            if bits[:size] in codes:
                out, bits = out + codes[bits[:size]], bits[size:]
                break
    return int(out)


def ok(is_so, text, detail=None):
    print(("ok" if is_so else "not ok") + f" - {text}")
    if not is_so:
        print(f"# {detail!r}")
