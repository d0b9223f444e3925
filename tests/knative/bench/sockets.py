# SPDX-License-Identifier: Apache-2.0
"""When the sockets of pods begin to listen, as the kernel saw it.

The tracepoint sock:inet_sock_set_state, in a trace instance of this process.  A
program that asks a pod again and again whether it serves would take time from
the pod that starts, and keep queue-proxy awake.
"""
import atexit
import collections
import os
import re
import select
import threading
import time

LINE = re.compile(r"^.{16}-(\d+) .* (\d+\.\d+): inet_sock_set_state: .* sport=(\d+) ")
TRACING = "/sys/kernel/tracing"


class Listeners:
    """Time (of time.time()) by port, by uid of the pod whose process it was."""

    def __init__(self, ports):
        self.times = collections.defaultdict(dict)
        self.path = f"{TRACING}/instances/weir-{os.getpid()}"
        for name in os.listdir(os.path.dirname(self.path)):  # of runs that were killed
            if re.fullmatch(r"weir-\d+", name) and not os.path.exists(f"/proc/{name[5:]}"):
                os.rmdir(f"{TRACING}/instances/{name}")
        os.mkdir(self.path)
        self._set("trace_clock", "mono")
        any_port = " || ".join(f"sport == {p}" for p in ports)
        self._set("events/sock/inet_sock_set_state/filter", f"newstate == 10 && ({any_port})")
        self._set("events/sock/inet_sock_set_state/enable", "1")
        self.is_over = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        atexit.register(self.close)

    def close(self):
        """An instance that is read cannot be removed."""
        self.is_over = True
        self.thread.join()
        os.rmdir(self.path)

    def _set(self, name, value):
        with open(f"{self.path}/{name}", "w") as f:
            f.write(value)

    def _read(self):
        offset = time.time() - time.monotonic()
        rest = b""
        pipe = os.open(f"{self.path}/trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        while not self.is_over:
            if select.select([pipe], [], [], 0.2)[0]:
                *lines, rest = (rest + os.read(pipe, 65536)).split(b"\n")
                for line in lines:
                    self._take(line.decode(), offset)
        os.close(pipe)

    def _take(self, line, offset):
        m = LINE.search(line)
        try:
            with open(f"/proc/{m[1]}/cgroup") as f:
                pod = re.search(r"/pod([0-9a-f-]+)(/|$)", f.read())
        except (OSError, TypeError):
            return
        if pod:
            self.times[pod[1]].setdefault(int(m[3]), float(m[2]) + offset)
