"""What is published, read back: for subscribers."""

from __future__ import annotations

import msgspec

from daemon.messages import (
    Emotion,
    EpisodeMessage,
    Health,
    Info,
    NodeStatus,
    Quality,
    Response,
    StreamStatus,
    WindowMessage,
)
from daemon.record_messages import Answer, DraftMessage, SignedMessage

AnyMessage = (
    NodeStatus
    | Info
    | Health
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


def decode(payload: bytes) -> AnyMessage:
    """Raises msgspec.ValidationError or msgspec.DecodeError."""
    message: AnyMessage = msgspec.json.decode(payload, type=AnyMessage)
    return message
