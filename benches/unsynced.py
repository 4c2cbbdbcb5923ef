"""Run a command for whose processes every sync succeeds at once and does nothing: what syncing costs (seccomp(2))."""

import ctypes
import os
import struct
import sys

# fsync, fdatasync, sync_file_range, syncfs: x86_64.
NUMBERS = [74, 75, 277, 306]

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, SUCCEED = 0x7FFF0000, 0x00050000

steps = [(LOAD, 0, 0, 0)]
steps += [(EQUAL, len(NUMBERS) - place, 0, number) for place, number in enumerate(NUMBERS)]
steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, SUCCEED)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
