"""What is published, read back: for subscribers."""

from __future__ import annotations

import msgspec

from daemon.config_errors import one_line
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
    """Raises msgspec.DecodeError, one line, for whatever is none of these."""
    try:
        message: AnyMessage = msgspec.json.decode(payload, type=AnyMessage)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        raise msgspec.DecodeError(one_line(str(why))[:_LONGEST]) from None
    return message
