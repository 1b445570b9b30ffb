"""One input: it has to be taken or refused in one line, soon, and without much memory."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HUNG_S = 5.0
# Beyond what the process has: inputs are small, and so must be what they make a parser ask for.
_ROOM_BYTES = 1 << 30
_LINE = 2000  # characters; a longer refusal is no line


class HungError(BaseException):
    """Not an Exception, so that no parser takes it for one of its own."""


@dataclass
class Figures:
    """Of one kind of input. slowest_s: of all inputs."""

    taken: int = 0
    refused: int = 0
    slowest_s: float = 0.0

    @property
    def inputs(self) -> int:
        return self.taken + self.refused


def attempt(parse: Callable[[bytes], object], refusal: type[Exception], raw: bytes, figures: Figures) -> None:
    """parse: raises `refusal` for what it does not take. Raises whatever else comes of it."""
    began = time.perf_counter()
    try:
        with _limits():
            parse(raw)
    except refusal as why:
        line = str(why)
        assert line and len(line.splitlines()) == 1, f"not one line: {line!r}"
        assert len(line) <= _LINE, f"{len(line)} characters are no line: {line[:200]!r}…"
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line), f"control characters: {line!r}"
        figures.refused += 1
    else:
        figures.taken += 1
    figures.slowest_s = max(figures.slowest_s, time.perf_counter() - began)


@contextmanager
def _limits() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _ROOM_BYTES, before[1]))
    handler = signal.signal(signal.SIGALRM, _hung)
    signal.setitimer(signal.ITIMER_REAL, HUNG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def _hung(number: int, frame: object) -> None:
    raise HungError(f"took more than {HUNG_S:g} s")
