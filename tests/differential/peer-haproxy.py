# SPDX-License-Identifier: Apache-2.0
"""How HAProxy reads streams of requests: a process of it on a unix socket answers
each request with what it read.  It tells whole messages only ("?" in reading.h).

In: u32 size of a batch, then u32 size and bytes of each stream; out: a line
each (reading.h)."""
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

CONFIG = """
global
	nbthread 1
	maxconn 500
	tune.bufsize 65536
	tune.http.maxhdr 200
defaults
	mode http
	timeout client 3s
	timeout http-request 3s
	timeout http-keep-alive 3s
frontend f
	bind %s
	http-request wait-for-body time 1s
	http-request return status 200 hdr Read "%%[method,crc32] %%[url,crc32] %%[req.fhdr(host),crc32] %%[req.body_size] %%[req.body,crc32]"
"""
HEAD = re.compile(rb"HTTP/1\.1 (\d\d\d)(.*?)\r\n\r\n", re.S)
READ = re.compile(rb"\r\nread: ([-\d]*) ([-\d]*) ([-\d]*) ([-\d]*) ([-\d]*)", re.I)


def read(path, data):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    s.connect(path)
    got = b""
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            got += piece
    except OSError:
        pass
    s.close()
    messages, reason = [], "-"
    for m in HEAD.finditer(got):
        if m.group(1) == b"100":
            continue
        fields = READ.search(m.group(2))
        if m.group(1) != b"200" or not fields:
            reason = "status_" + m.group(1).decode()
            break
        v = [0 if x in (b"", b"-") else int(x) & 0xFFFFFFFF for x in fields.groups()]
        messages.append("%x,%x,%x,%d,%x" % tuple(v))
    return " ".join(["?", reason] + messages) + "\n"


def serve(path):
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
            lines.append(read(path, batch[at + 4:at + 4 + n]))
            at += 4 + n
        out.write("".join(lines).encode())
        out.flush()


def main():
    place = tempfile.mkdtemp(prefix="weir-differential-")
    path = place + "/socket"
    with open(place + "/config", "w") as f:
        f.write(CONFIG % ("unix@" + path))
    haproxy = subprocess.Popen(["haproxy", "-db", "-f", place + "/config"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if os.path.exists(path):
                break
            time.sleep(0.02)
        serve(path)
    finally:
        haproxy.terminate()
        haproxy.wait()
        shutil.rmtree(place)


main()
