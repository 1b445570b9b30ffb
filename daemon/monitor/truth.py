"""What is true of a connection: from what nodes say and how long ago, never from our own socket alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from daemon.messages import NodeState, StreamStatus, unix

Shown = Literal["unknown", "calibrating", "online", "degraded", "stalled", "offline"]
Cause = Literal["", "stream", "silence", "node_lost", "node_stopped", "broker", "unheard"]


class Truth(Struct, frozen=True):
    """since: UTC seconds. cause: who says so. detail: the node's own words, where it has some."""

    state: Shown
    since: float
    cause: Cause
    detail: str = ""


@dataclass
class NodeView:
    """The newest status of a node. told_at: UTC seconds, when it is known to have become true.

    A will is written at connection and says nothing of when it was said: `told_at` is then when we heard it,
    or None where it was retained and we cannot know.
    """

    state: NodeState | None = None
    told_at: float | None = None


@dataclass(frozen=True)
class Patience:
    """Seconds without a message after which a live stream is shown as stalled, and as offline."""

    silent_s: float
    absent_s: float


def judge(
    node: NodeView,
    status: StreamStatus | None,
    heard: float,
    broker_lost: float | None,
    patience: Patience,
    now: float,
) -> Truth:
    """heard: when the stream last said anything. broker_lost: since when we hear nothing at all.

    All times are UTC seconds.
    """
    if broker_lost is not None:
        return Truth("unknown", broker_lost, "broker")
    if node.state in ("stopped", "offline"):
        since = heard if node.told_at is None else node.told_at
        return Truth("offline", since, "node_stopped" if node.state == "stopped" else "node_lost")
    if status is None:
        return Truth("unknown", heard, "unheard")
    if status.state in ("stalled", "offline"):
        return Truth(status.state, unix(status.since), "stream", status.detail)
    silent = now - heard
    if silent > patience.absent_s:
        return Truth("offline", heard, "silence")
    if silent > patience.silent_s:
        return Truth("stalled", heard, "silence")
    return Truth(status.state, unix(status.since), "", status.detail)
