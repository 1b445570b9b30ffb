"""glibc's heap for a process that runs for months: what is freed goes back to the system."""

from __future__ import annotations

import ctypes

# malloc.h
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
# glibc's own value, bytes. Left alone it rises to the largest block that was ever freed: buffers of a headset
# that was opened anew, some MB, then lie between small blocks of the heap, which cannot shrink any more.
_LARGE_BYTES = 128 * 1024
# Otherwise each of some 16 threads gets a heap of its own, and none uses what is free in another.
_HEAPS = 2


def steady() -> None:
    """To be called once, before there are other threads. Does nothing where malloc is not glibc's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_ARENA_MAX, _HEAPS)
