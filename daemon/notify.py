"""Tells systemd how the service is, over its datagram socket (sd_notify(3))."""

from __future__ import annotations

import os
import socket

import structlog

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


def watchdog_s() -> float | None:
    """The interval in which systemd wants a sign of life, seconds; None where it wants none."""
    wanted = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    if not wanted.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(wanted) / 1e6
