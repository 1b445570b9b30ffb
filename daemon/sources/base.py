"""What every source is, and what it may say went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from pipeline.records import Chunk


class SourceError(Exception):
    """Base of what sources raise; the message is one line."""


class SourceLost(SourceError):  # noqa: N818 (it names a state)
    """The device or stream is not there, or no longer: trying again soon can help."""


class SourceRefused(SourceError):  # noqa: N818 (it names a state)
    """Something that somebody has to mend, as two streams that match: the line says what."""


class SourceEnded(SourceError):  # noqa: N818 (it names a state)
    """A recording is over."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a source found when it opened.

    channels: names, one a row of its chunks. rate: the rate its chunks claim, Hz.
    description: one line for people. device: what is known of the device, e.g. `host`, `source_id`.
    warnings: what was assumed, one line each.
    """

    channels: tuple[str, ...]
    rate: float
    description: str
    device: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """How a source's samples keep time.

    rate_true: samples a second by the host's clock, Hz; None until it is known (some 10 s).
    backwards: how often its stamps stepped back.
    """

    rate_true: float | None = None
    backwards: int = 0


class Source(Protocol):
    """Blocking, used by one thread. May be opened again after `close`.

    Over reopenings sample and segment numbers go on: each opening and each gap starts a new segment,
    and `first_sample` counts the samples that were lost where their number is known.
    """

    def open(self) -> StreamInfo:
        """Raises SourceLost or SourceRefused; then nothing is left open."""

    def read(self, timeout_s: float) -> Chunk | None:
        """The next samples, or None where none came in time.

        Raises SourceLost, SourceRefused, SourceEnded.
        """

    def close(self) -> None:
        """Release the device. May be called at any time, and twice."""

    @property
    def timing(self) -> Timing: ...


State = Literal["connecting", "online", "stalled", "lost", "refused", "ended", "warning"]


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """A change in a source's state, or a warning, which changes none. at: UTC, seconds since the epoch."""

    state: State
    detail: str
    at: float


@dataclass(frozen=True, slots=True)
class SourceStats:
    """Counted since the feed began.

    samples: received. lost: that should have come and did not, as far as known, outages included.
    gaps: breaks within a connection. reconnects: connections after the first.
    rate_nominal, rate_true: Hz, None until known. backwards: steps back of the stamps.
    rate_fault: in one line how far the two rates are apart; empty where they agree.
    """

    samples: int = 0
    lost: int = 0
    gaps: int = 0
    reconnects: int = 0
    rate_nominal: float | None = None
    rate_true: float | None = None
    backwards: int = 0
    rate_fault: str = ""
