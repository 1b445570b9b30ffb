"""What may go wrong: each fault as a context manager that inflicts it, and on leaving heals it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tests.soak.ears import Heard
from tests.soak.laboratory import Laboratory


@dataclass(frozen=True)
class Fault:
    """lasts_s: in the short and in the long form, seconds. healed: whether a message, heard after the healing
    at `since` (UTC seconds), shows that all is well again; sign: the same in words.

    lane: what it happens to; faults of different lanes may meet in the short form. ends_node: whether the
    daemon's process ends by it. impossible: why it cannot be inflicted here, else an empty line.
    """

    name: str
    what: str
    lane: str
    lasts_s: tuple[float, float]
    inflict: Callable[[Laboratory], AbstractContextManager[None]]
    healed: Callable[[Heard, float], bool]
    sign: str
    ends_node: bool = False
    impossible: Callable[[Laboratory], str] = lambda lab: ""


def fresh_reading(heard: Heard, since: float) -> bool:
    """A reading that was made after the healing: what waited meanwhile may come first or later."""
    return heard.kind == "emotion" and heard.made >= since


def any_reading(heard: Heard, since: float) -> bool:
    """A reading that was sent after the healing, by whatever clock the daemon has."""
    return heard.kind == "emotion" and not heard.retained


def samples_of(stream: str) -> Callable[[Heard, float], bool]:
    """The stream's status says that samples come."""
    flowing = ("calibrating", "online", "degraded")

    def healed(heard: Heard, since: float) -> bool:
        return (
            heard.kind == "status"
            and heard.topic.endswith(f"/{stream}/status")
            and heard.made >= since
            and heard.told["state"] in flowing
        )

    return healed


def window_of(stream: str) -> Callable[[Heard, float], bool]:
    """A whole window of the stream, which therefore began after the last gap."""

    def healed(heard: Heard, since: float) -> bool:
        return heard.kind == "quality" and heard.stream == stream and heard.made >= since

    return healed
