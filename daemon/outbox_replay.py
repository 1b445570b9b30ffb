"""`cmd/replay-outbox` and `cmd/{stream}/replay-outbox`: a period of the outbox is sent again."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from paho.mqtt.client import topic_matches_sub

from daemon.config_errors import shown
from daemon.errors import CommandError, OutboxError
from daemon.messages import unix
from daemon.post import QUALITY, Post

_Text = Annotated[str, Meta(min_length=1, max_length=256)]


class ReplayOutbox(Struct, frozen=True, forbid_unknown_fields=True):
    """What was made between two times, as far as it is still kept.

    from, to: ISO 8601, UTC where they name no zone; `to` is now where it is not given.
    topics: filters below the node's own topic, such as `bed-1/emotion` or `+/episode`; none means all but
    what describes a moment only (`health`, `+/quality`, answers).
    """

    start: _Text = msgspec.field(name="from")
    end: _Text | None = msgspec.field(name="to", default=None)
    topics: Annotated[list[_Text], Meta(max_length=32)] = []


def replay(command: ReplayOutbox, post: Post, stream: str) -> str:
    """stream: only its topics; empty for all. Returns in one line what was done. Raises CommandError."""
    base = post.topics.base
    start = _utc(command.start)
    end = time.time() if command.end is None else _utc(command.end)
    if start > end:
        raise CommandError("`from` is later than `to`")
    for text in command.topics:
        if not _is_filter(text):
            raise CommandError(f"topics: {shown(text)} is no topic filter: write for instance bed-1/emotion")
    moments = {post.topics.health, post.topics.response}

    def wanted(topic: str) -> bool:
        if not topic.startswith(f"{base}/{stream}/" if stream else f"{base}/"):
            return False
        if command.topics:
            return any(topic_matches_sub(f"{base}/{text}", topic) for text in command.topics)
        return topic not in moments and topic.rpartition("/")[2] not in (QUALITY, "answer")

    try:
        return f"{post.again(start, end, wanted)} messages are sent again, marked as replay"
    except OutboxError as why:
        raise CommandError(str(why)) from None


def _is_filter(text: str) -> bool:
    levels = text.split("/")
    return (
        all(level in ("+", "#") or not set(level) & set("+#\0") for level in levels)
        and "#" not in levels[:-1]
    )


def _utc(text: str) -> float:
    try:
        return unix(text)
    except (ValueError, OverflowError):
        raise CommandError(f"{shown(text)} is no time: write for instance 2026-01-31T12:00:00Z") from None
