"""A long-lived process gives large blocks back, and its threads share their heaps; judged by glibc itself."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is not glibc's here")

# In a process of its own: the settings are the process's. A headset's buffers are opened, freed and opened
# anew; then twelve threads allocate at once.
LIVE = """
import ctypes, json, os, sys, tempfile, threading
from daemon.heap import steady

if sys.argv[1] == "steady":
    steady()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.fopen.restype = ctypes.c_void_p
libc.fopen.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split())]

libc.mallinfo2.restype = Info
libc.free(libc.malloc(20 * 2**20))
before = libc.mallinfo2().hblkhd
libc.malloc(3 * 2**20)
mapped = libc.mallinfo2().hblkhd - before

meet = threading.Barrier(12)
def allocate():
    meet.wait()
    block = libc.malloc(1000)
    meet.wait()
    libc.free(block)

threads = [threading.Thread(target=allocate) for _ in range(12)]
for one in threads: one.start()
for one in threads: one.join()
with tempfile.NamedTemporaryFile() as file:
    out = libc.fopen(file.name.encode(), b"w")
    libc.malloc_info(0, out)
    libc.fclose(out)
    heaps = file.read().count(b"<heap nr=")
print(json.dumps({"mapped": mapped, "heaps": heaps}))
"""


def told(how: str) -> dict[str, int]:
    done = subprocess.run([sys.executable, "-c", LIVE, how], capture_output=True, text=True, check=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_large_blocks_go_back_and_heaps_are_few() -> None:
    left_alone, kept = told("left alone"), told("steady")
    assert left_alone["mapped"] == 0, "glibc does not do any more what this is for"
    assert kept["mapped"] >= 3 * 2**20
    assert kept["heaps"] <= 2 < left_alone["heaps"]
