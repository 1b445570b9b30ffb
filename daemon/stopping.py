"""Ctrl-C and systemd's SIGTERM as an event, so that whatever runs ends in order."""

from __future__ import annotations

import asyncio
import signal
import threading

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stop_by_signal() -> threading.Event:
    """Set once this process is told to stop. From the main thread."""
    stop = threading.Event()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    return stop


def shutdown_by_signal() -> asyncio.Event:
    """The same in a running event loop."""
    shutdown = asyncio.Event()
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, shutdown.set)
    return shutdown
