"""A message on its way, and how long it is worth keeping."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypedDict


class Keep(enum.IntEnum):
    """How long a message that waits is worth keeping."""

    ALWAYS = 0
    """Never dropped: drafts and signatures. Whoever puts one calls `Outbox.harden` before forgetting it."""
    WHILE_ROOM = 1
    """Dropped, the oldest first, where the outbox is full: readings."""
    WHILE_FRESH = 2
    """Worth nothing after its expiry: health, quality, answers to commands."""
    LONG = 3
    """Dropped only where the outbox is full and holds no reading any more: episodes, states."""


class Delivery(TypedDict, total=False):
    """How a message travels and how long it waits; what is left out is as `Outbox.put` has it."""

    qos: int
    retain: bool
    keep: Keep
    expiry_s: float | None
    correlation: bytes | None


@dataclass(frozen=True, slots=True)
class Row:
    """created: UTC seconds. expiry_s: how long it describes the present, or None.

    tries: how often the broker refused it. again: it was sent before, and somebody asked for it anew.
    """

    id: int
    created: float
    topic: str
    payload: bytes
    qos: int
    retain: bool
    keep: Keep
    expiry_s: float | None
    correlation: bytes | None
    tries: int = 0
    again: bool = False
