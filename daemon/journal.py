"""Logs as journald keeps them: a message for people, and every value in a field of its own.

`journalctl -u eeg-copilot EEG_STREAM=bed-1 -p warning` then finds what a person wants to know.
Format of a datagram: systemd's "Native Journal Protocol".
"""

from __future__ import annotations

import re
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from daemon.notify import JOURNAL

IDENTIFIER = "eeg-copilot"
# Our own fields, so that none is taken for one of journald's.
PREFIX = "EEG_"
# syslog(3)
_PRIORITY = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
# A datagram has to fit into the socket's buffer, of which 208 KiB are usual; only a trace gets near.
_LONGEST = 100_000
_UNFIT = re.compile(r"[^A-Z0-9_]")


class JournalLogger:
    """What structlog calls with the last processor's result: one record."""

    def __init__(self, address: Path = JOURNAL) -> None:
        self._address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def msg(self, record: bytes) -> None:
        try:
            self._socket.sendto(record, self._address)
        except OSError:
            # journald is being restarted: standard error, which it also reads, waits for it.
            sys.stderr.buffer.write(record.split(b"\n", 1)[0].removeprefix(b"MESSAGE=") + b"\n")

    def close(self) -> None:
        self._socket.close()

    log = debug = info = warning = warn = error = critical = exception = fatal = msg


def journal_loggers() -> Callable[..., JournalLogger]:
    """A factory for structlog: one socket for all."""
    one = JournalLogger()
    return lambda *_: one


def record(logger: object, name: str, event: structlog.typing.EventDict) -> bytes:
    """A structlog processor, the last one: the event as a datagram. `level` must have been added."""
    values = {key: str(value) for key, value in event.items()}
    message = values.pop("event", "")
    level = values.pop("level", name)
    trace = values.pop("exception", "")
    told = " ".join(f"{key}={value}" for key, value in values.items() if key != "logger" and value)
    fields = {
        "MESSAGE": "\n".join(part for part in (f"{message}  {told}".rstrip(), trace) if part),
        "PRIORITY": str(_PRIORITY.get(level, 6)),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        **{PREFIX + _UNFIT.sub("_", key.upper()): value for key, value in values.items()},
    }
    return b"".join(_field(key, value) for key, value in _bounded(fields).items())


def _field(key: str, value: str) -> bytes:
    data = value.encode("utf-8", "replace")
    if b"\n" not in data:
        return key.encode() + b"=" + data + b"\n"
    return key.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"


def _bounded(fields: Mapping[str, str]) -> dict[str, str]:
    return {
        key: value if len(value) <= _LONGEST else value[:_LONGEST] + " … cut" for key, value in fields.items()
    }
