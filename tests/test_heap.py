"""A long-lived process gives large blocks back, its threads share heaps, and old garbage does not pile up."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

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


# What a program loads, and then cycles that each live for a while, as a draft or a connection does.
CYCLES = """
import collections, gc, json, sys
from daemon.heap import loaded

classes = [[n] for n in range(500_000)]
if sys.argv[1] == "loaded":
    loaded()
else:
    gc.collect()
alive = most = 0

class Cycle:
    def __init__(self):
        global alive, most
        self.me = self
        alive += 1
        most = max(most, alive)

    def __del__(self):
        global alive
        alive -= 1

recent = collections.deque(maxlen=3000)
for _ in range(150_000):
    recent.append(Cycle())
print(json.dumps({"most": most}))
"""


# Blocks too small to be mapped; of hundred one stays, so that the heap cannot shrink from its end.
HOLES = """
import ctypes, json, sys
from pathlib import Path
from daemon.heap import give_back, steady

steady()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

before = resident()
blocks = [libc.malloc(10_000) for _ in range(4000)]
for block in blocks: ctypes.memset(block, 1, 10_000)
for n, block in enumerate(blocks):
    if n % 100: libc.free(block)
if sys.argv[1] == "given back":
    give_back()
print(json.dumps({"kib": resident() - before}))
"""


def told(program: str, how: str) -> dict[str, int]:
    done = subprocess.run([sys.executable, "-c", program, how], capture_output=True, text=True, check=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_garbage_is_found_soon_once_all_is_loaded() -> None:
    assert told(CYCLES, "loaded")["most"] < 30_000 < 50_000 < told(CYCLES, "left alone")["most"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is not glibc's here")
def test_large_blocks_go_back_and_heaps_are_few() -> None:
    left_alone, kept = told(LIVE, "left alone"), told(LIVE, "steady")
    assert left_alone["mapped"] == 0, "glibc does not do any more what this is for"
    assert kept["mapped"] >= 3 * 2**20
    assert kept["heaps"] <= 2 < left_alone["heaps"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is not glibc's here")
def test_holes_go_back_too() -> None:
    assert told(HOLES, "given back")["kib"] < 10_000 < 30_000 < told(HOLES, "left alone")["kib"]
