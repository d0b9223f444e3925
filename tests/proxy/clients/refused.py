#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""refused.py ERROR CALL[,CALL...] COMMAND...: runs COMMAND; these system calls
fail with ERROR in it, by a filter as container runtimes install one."""
import ctypes
import errno
import os
import struct
import sys

# Numbers are the same on every architecture.
CALLS = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
PR_SET_NO_NEW_PRIVS = 38
LOAD_NUMBER = struct.pack("HBBI", 0x20, 0, 0, 0)  # BPF_LD | BPF_W | BPF_ABS
ALLOW = struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)
error = getattr(errno, sys.argv[1])

program = LOAD_NUMBER
for name in sys.argv[2].split(","):
    # BPF_JMP | BPF_JEQ | BPF_K: the next instruction, or the one after it.
    program += struct.pack("HBBI", 0x15, 0, 1, CALLS[name])
    program += struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | error)
program += ALLOW


class Program(ctypes.Structure):
    _fields_ = [("n", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


libc = ctypes.CDLL(None, use_errno=True)
arg = Program(len(program) // 8, program)
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
    PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(arg), 0, 0
):
    sys.exit("refused.py: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[3], sys.argv[3:])
