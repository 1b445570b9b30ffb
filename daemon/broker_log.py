"""Mosquitto's log, where it is on this machine: what the broker kept away from the node's own topics.

A publish that an ACL denies never reaches a node. Only the broker's log tells of it, at debug level.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import structlog

log = structlog.get_logger("broker-log")

POLL_S = 1.0
# More than a busy broker writes in a second; what is beyond waits for the next look.
_MOST_BYTES = 1 << 20
_MOST_CLIENTS = 1000
# Mosquitto 2.0 cuts a line at 999 bytes. Nobody but the client says where such a line's id ends.
_SURELY_WHOLE = 900
# Before each line, or nothing: log_timestamp_format in figures, perhaps behind a weekday and a month.
_STAMP = r"(?:(?:[A-Z][a-z]{2} ){0,2}\d[\dTZ .,:/+-]*: )?"
# As mosquitto 2.0 writes them, with `connection_messages` and `log_type debug` switched on. A client chooses
# its id, which may hold whole lines of the log: only a line's beginning and its last marks are the broker's.
_CONNECTED = re.compile(
    _STAMP
    + r"New (?:client|bridge) connected from \S+ as (?P<client>.+) \(p\d, c\d, k\d+(?:, u'(?P<user>.*)')?\)\."
)
_DENIED = re.compile(_STAMP + r"Denied PUBLISH from (?P<said>.+)")
_SAID = re.compile(r"(?P<client>.+) \(d\d, q\d, r\d, m\d+, '(?P<topic>.*)', \.\.\. \(\d+ bytes\)\)")


class BrokerLog:
    """Follows the file, through rotations too, from its present end on."""

    def __init__(self, path: Path, base: str, note: Callable[..., None]) -> None:
        """base: the node's own topics begin so. note: enters a deed into the audit trail."""
        self._path = path
        self._base = f"{base}/"
        self._note = note
        self._users: dict[str, str] = {}
        self._complained = ""
        self._rest = b""
        self._inode, size = self._now()
        self._at = max(0, size - _MOST_BYTES)
        amid = self._at > 0  # perhaps within a line, where a client's own words may stand
        for line in self._read()[amid:]:
            self._connected(line)  # who is there already

    async def follow(self) -> None:
        """Until cancelled."""
        while True:
            for line in await asyncio.to_thread(self._read):
                self._line(line)
            await asyncio.sleep(POLL_S)

    def _now(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except OSError as why:
            self._complain(why)
            return 0, 0
        return status.st_ino, status.st_size

    def _read(self) -> list[str]:
        inode, size = self._now()
        if inode != self._inode or size < self._at:
            self._inode, self._at, self._rest = inode, 0, b""
        if size == self._at:
            return []
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                found = file.read(_MOST_BYTES)
        except OSError as why:
            self._complain(why)
            return []
        self._complained = ""
        self._at += len(found)
        *lines, self._rest = (self._rest + found).split(b"\n")
        self._rest = self._rest[-_MOST_BYTES:]
        return [line.decode(errors="replace") for line in lines]

    def _line(self, line: str) -> None:
        denied = _DENIED.fullmatch(line)
        if denied is None:
            self._connected(line)
        else:
            self._denied(denied["said"], whole=_is_whole(line))

    def _connected(self, line: str) -> None:
        came = _CONNECTED.fullmatch(line) if _is_whole(line) else None
        if came is not None:
            if len(self._users) >= _MOST_CLIENTS:
                self._users.clear()
            self._users[came["client"]] = came["user"] or ""

    def _denied(self, said: str, *, whole: bool) -> None:
        """Where a line was cut the topic may be gone: it is entered, be it of another node's topic."""
        parts = _SAID.fullmatch(said) if whole else None
        if whole and f"'{self._base}" not in said:
            return
        client, topic = (said, "") if parts is None else (parts["client"], parts["topic"])
        self._note(
            "broker",
            "publish denied",
            user=_plain(self._users.get(client, "")),
            client=_plain(client),
            topic=_plain(topic),
        )

    def _complain(self, why: OSError) -> None:
        if str(why) != self._complained:
            self._complained = str(why)
            log.warning("the broker's log cannot be read", path=str(self._path), reason=why.strerror)


def _is_whole(line: str) -> bool:
    return len(line.encode()) < _SURELY_WHOLE


def _plain(text: str) -> str:
    """What a client chose itself, fit for an entry."""
    return "".join(letter for letter in text if letter.isprintable())[:200]
