"""Who uses the model now: readings go first, and drafts are written in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """One model, two threads. A reading waits for one step of the writer; a writer for all readings."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._busy = False
        self._readings = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._free:
            self._readings += 1
            self._free.wait_for(lambda: not self._busy)
            self._readings -= 1
            self._busy = True
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._free:
            self._free.wait_for(lambda: not self._busy and not self._readings)
            self._busy = True
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._free:
            self._busy = False
            self._free.notify_all()
