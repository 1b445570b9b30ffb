"""A pseudo-terminal that BrainFlow's own OpenBCI Cyton driver takes for the hardware.

Speaks the Cyton's protocol: text replies that end in `$$$`, and 33-byte packets while streaming.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import struct
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path

RATE = 250.0
# Step of the ADS1299 at gain 24, µV: 4.5 V over 2^23 - 1 steps.
MICROVOLTS = 4.5 / (2**23 - 1) / 24 * 1e6


def value(number: int) -> int:
    """What all eight channels carry in a packet: its number, so that losses show in the data too."""
    return number * 10


class FakeCyton:
    """drop, corrupt: whether a packet, by its number since the start, is not sent, or sent damaged.

    link: a path that points to the terminal, steady over replugging like those in /dev/serial/by-id.
    runs: packets that came due in each run, from one start command to whatever ended it, oldest first.
    """

    def __init__(
        self,
        link: Path,
        drop: Callable[[int], bool] = lambda k: False,
        corrupt: Callable[[int], bool] = lambda k: False,
    ) -> None:
        self._link = link
        self._drop = drop
        self._corrupt = corrupt
        self._stop = threading.Event()
        self.runs: list[int] = []
        self.plug()

    def plug(self) -> None:
        self._board, self._computer = pty.openpty()
        tty.setraw(self._board)
        tty.setraw(self._computer)
        # A board does not wait for a computer that has stopped reading: what does not fit is lost.
        os.set_blocking(self._board, False)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(self._computer))
        self._stop.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def unplug(self) -> None:
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        self._link.unlink()
        os.close(self._board)
        os.close(self._computer)

    def _run(self) -> None:
        start: float | None = None
        sent = 0
        while not self._stop.is_set():
            if select.select([self._board], [], [], 0.004)[0]:
                for letter in os.read(self._board, 64):
                    if letter == ord("b"):
                        start, sent = time.monotonic(), 0
                        self.runs.append(0)
                    elif letter == ord("s"):
                        start = None
                    elif letter == ord("v"):  # resets the board, which then no longer streams
                        start = None
                        self._write(b"OpenBCI V3 8-16 channel\nFirmware: v3.1.2\n$$$")
                    elif start is None:
                        self._write(b"ok$$$")
            due = int((time.monotonic() - start) * RATE) if start is not None else sent
            for number in range(sent, due):
                if not self._drop(number):
                    self._write(self._packet(number))
            sent = max(sent, due)
            if start is not None:
                self.runs[-1] = sent

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._board, data)

    def _packet(self, number: int) -> bytes:
        sample = struct.pack(">i", value(number))[1:]  # 24 bits, big-endian
        end = b"\x55" if self._corrupt(number) else b"\xc0"
        return bytes([0xA0, number % 256]) + 8 * sample + bytes(6) + end
