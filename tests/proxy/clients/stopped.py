# SPDX-License-Identifier: Apache-2.0
"""A process that is stopped, so that what it gets comes in one turn."""
import os
import signal
import time


def stop(pid):
    """One thread takes the signal and stops the others, which go on till then."""
    os.kill(pid, signal.SIGSTOP)
    for t in os.listdir(f"/proc/{pid}/task"):
        while True:
            with open(f"/proc/{pid}/task/{t}/stat") as f:
                if f.read().rsplit(") ")[-1][0] == "T":
                    break
            time.sleep(0.001)
