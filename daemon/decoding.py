"""What is published, read back: for subscribers."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from daemon.config_errors import one_line, shown
from daemon.messages import (
    Emotion,
    EpisodeMessage,
    Health,
    Info,
    NodeStatus,
    Quality,
    ReaderMessage,
    Response,
    StreamStatus,
    WindowMessage,
    unix,
)
from daemon.record_messages import Answer, DraftMessage, SignedMessage

AnyMessage = (
    NodeStatus
    | Info
    | Health
    | ReaderMessage
    | StreamStatus
    | Quality
    | Emotion
    | WindowMessage
    | EpisodeMessage
    | Response
    | DraftMessage
    | SignedMessage
    | Answer
)


# What was wrong may be quoted, and be of any length.
_LONGEST = 300


def decode(payload: bytes) -> AnyMessage:
    """Raises msgspec.DecodeError, one line, for whatever is none of these, or tells a time that is none."""
    try:
        message: AnyMessage = msgspec.json.decode(payload, type=AnyMessage)
        _check_times(message)
    except (ValueError, RecursionError) as why:  # no JSON, no UTF-8, or a number of thousands of digits
        raise msgspec.DecodeError(one_line(str(why))[:_LONGEST]) from None
    return message


def _check_times(message: AnyMessage) -> None:
    """Here, so that nobody keeps a message whose times cannot be read later.

    Raises msgspec.ValidationError.
    """
    for key, text in _times(message):
        try:
            unix(text)
        except (ValueError, OverflowError):
            raise msgspec.ValidationError(f"{key}: {shown(text)} is no time") from None


def _times(message: AnyMessage) -> Iterator[tuple[str, str]]:
    yield "time", message.time
    match message:
        case Info() | ReaderMessage():
            yield "started", message.started
        case StreamStatus():
            yield "since", message.since
        case Emotion() | WindowMessage():
            yield "window.start", message.window.start
            yield "window.end", message.window.end
        case EpisodeMessage():
            yield "start", message.start
            yield "end", message.end
        case SignedMessage():
            yield "when", message.when
        case _:
            pass
