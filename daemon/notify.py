"""What systemd is told over its datagram socket (sd_notify(3)), and what it tells us in the environment."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import structlog

JOURNAL = Path("/run/systemd/journal/socket")

log = structlog.get_logger("notify")


def notify(*lines: str) -> None:
    """For instance `READY=1`, `STATUS=…`. Without systemd it does nothing.

    Never waits and never fails: labels do not depend on whether systemd listens.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
        to.setblocking(False)
        try:
            to.sendto("\n".join(lines).encode(), address)
        except OSError as why:
            log.warning("systemd does not listen", reason=why.strerror or str(why), untold=lines)


def notify_reloading() -> None:
    """From here to the next `READY=1` a reload is under way. systemd 253 wants to know since when."""
    microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={microseconds}")


def watchdog_s() -> float | None:
    """The interval in which systemd wants a sign of life, seconds; None where it wants none."""
    wanted = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    if not wanted.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(wanted) / 1e6


def under_journal() -> bool:
    """True where our standard error goes to journald, which says so in `JOURNAL_STREAM` (systemd.exec(5))."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}" and JOURNAL.is_socket()
