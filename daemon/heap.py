"""Memory of a process that runs for months: what is freed goes back to the system, garbage is freed soon."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import linecache

# After this long all that stays is there, seconds: the classes of FHIR load beside the first windows.
_LOADED_S = 30.0
_GIVE_BACK_S = 10.0
# Python's own, but for the last, which is 10: with little that is old a look at all of it is cheap.
_THRESHOLDS = (700, 10, 2)

# malloc.h
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
# Larger blocks are mapped each by itself and go back when freed; between small ones that stay they would
# hold the heap's pages. glibc begins at 128 KiB and raises that to the largest block that was ever freed:
# buffers of a headset that was opened anew, some MB, then lie in the heap. Reading a window takes no longer.
_LARGE_BYTES = 16 * 1024
# Otherwise each of some 16 threads gets a heap of its own, and none uses what is free in another.
_HEAPS = 2


def steady() -> None:
    """To be called once, before there are other threads. Does nothing where malloc is not glibc's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_ARENA_MAX, _HEAPS)


def loaded() -> None:
    """To be called once, when all that stays is there: the collector need not look at it any more.

    Python looks at all that is old only every 70,000 new objects, and each time at the more than hundred
    thousand that were loaded at the start as well: what drafts and broken connections leave behind would pile
    up.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # counts what is left as old: next to nothing
    gc.set_threshold(*_THRESHOLDS)


def give_back() -> None:
    """Free pages between blocks that are in use, up to 1.5 MB in between, in half a millisecond; and the
    lines of source that Python keeps of each file which a logged failure passed through, some 200 KB a file.
    """
    linecache.clearcache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def keep_small() -> None:
    """Until cancelled."""
    await asyncio.sleep(_LOADED_S)
    loaded()
    while True:
        give_back()
        await asyncio.sleep(_GIVE_BACK_S)
