"""All beds, kept up to date by what is heard; says which have changed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Set
from typing import Any

import structlog

from daemon.config_errors import one_line
from daemon.decoding import AnyMessage
from daemon.messages import (
    Emotion,
    EpisodeMessage,
    Health,
    Info,
    NodeStatus,
    Quality,
    StreamStatus,
    WindowMessage,
    unix,
)
from daemon.monitor.bed import DETAILS, ON_CARD, Bed, Part
from daemon.monitor.settings import Ward as WardSettings
from daemon.monitor.truth import NodeView, Patience, judge
from daemon.rates import Allowance
from daemon.record_messages import DraftMessage, SignedMessage
from daemon.topics import ROOT

log = structlog.get_logger("ward")

# Anybody with the right to publish could invent beds: more than these, of one node and in all, are not
# taken in, unless one that has never spoken makes room.
MOST_OF_NODE = 64
MOST_BEDS = 1000
_LEVEL = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Ward:
    """Lives in the event loop. Times: UTC seconds."""

    def __init__(self, settings: WardSettings, now: float) -> None:
        self.beds: dict[str, Bed] = {}
        self.broker_lost: float | None = now
        self._labels = frozenset(settings.attention_labels)
        self._patience = Patience(settings.silent_s, settings.absent_s)
        self._places: set[tuple[str, str]] = set()
        self._nodes: dict[tuple[str, str], NodeView] = {}
        self._info: dict[tuple[str, str], Info] = {}
        self._health: dict[tuple[str, str], Health] = {}
        self._warnings = Allowance(5, 600.0)
        self._left = False

    def hear(self, topic: str, message: AnyMessage, retained: bool, now: float) -> Bed | None:
        """The bed that it is about, if it is about one."""
        levels = topic.removeprefix(f"{ROOT}/").split("/")
        if len(levels) < 3 or not all(_LEVEL.fullmatch(level) for level in levels):
            return None
        place = (levels[0], levels[1])
        if place not in self._places:
            if len(self._places) >= MOST_BEDS:
                return None
            self._places.add(place)
        match message:
            case NodeStatus():
                self._node(place, message, retained, now)
            case Info():
                self._info[place] = message
                for stream in message.streams[:MOST_OF_NODE]:
                    if _LEVEL.fullmatch(stream.name):
                        self._bed(*place, stream.name, now)
            case Health():
                self._health[place] = message
            case _ if len(levels) >= 4 and levels[2] != "cmd":
                return self._stream((*place, levels[2]), message, retained, now)
            case _:
                pass
        return None

    def broker(self, online: bool, now: float) -> None:
        self.broker_lost = None if online else now
        self.look(now)

    def look(self, now: float) -> None:
        """To be called every second: silence is an event that nobody reports."""
        for bed in self.beds.values():
            self._judge(bed, now)

    def has_lost_beds(self) -> bool:
        """Whether beds were taken away since this was last asked: no change of a bed says so."""
        left, self._left = self._left, False
        return left

    def node(self, bed: Bed) -> dict[str, Any]:
        """What the bed view tells of its node."""
        place = (bed.site, bed.node)
        info, health = self._info.get(place), self._health.get(place)
        return {
            "versions": {} if info is None else info.versions,
            "bundle": None if info is None else info.bundle,
            "labels": [] if info is None else info.bundle.labels,
            "latency_ms": {} if health is None else health.latency_ms,
            "health_at": None if health is None else health.time,
            "stream": None if health is None else health.streams.get(bed.stream),
        }

    def snapshot(self, now: float) -> dict[str, Any]:
        return {
            "now": now,
            "broker_lost": self.broker_lost,
            "beds": {bed.key: self._card(bed, None, now) for bed in self.beds.values()},
        }

    def changes(self, beds: Iterable[Bed], now: float) -> dict[str, Any]:
        """Of cards; empty where only details changed."""
        return {bed.key: self._card(bed, bed.changed - DETAILS, now) for bed in beds if bed.changed - DETAILS}

    def _node(self, place: tuple[str, str], message: NodeStatus, retained: bool, now: float) -> None:
        told_at: float | None = min(unix(message.time), now)
        if message.state == "offline":
            told_at = None if retained else now
        self._nodes[place] = NodeView(message.state, told_at)
        for bed in self.beds.values():
            if (bed.site, bed.node) == place:
                self._judge(bed, now)

    def _stream(
        self, where: tuple[str, str, str], message: AnyMessage, retained: bool, now: float
    ) -> Bed | None:
        bed = self._bed(*where, now, speaks=True)
        if bed is None:
            return None
        bed.spoke = True
        # A retained message is as old as it says, not as new as its arrival.
        at = min(unix(message.time), now) if retained else now
        bed.heard = at if bed.status is None else max(bed.heard, at)
        match message:
            case StreamStatus():
                bed.told_status(message)
            case Emotion():
                bed.told_reading(message)
            case Quality():
                bed.told_quality(message)
            case WindowMessage():
                bed.told_window(message)
            case EpisodeMessage():
                bed.told_episode(message)
            case DraftMessage() | SignedMessage():
                bed.told_record(message)
            case _:
                pass
        self._judge(bed, now)
        return bed

    def _bed(self, site: str, node: str, stream: str, now: float, *, speaks: bool = False) -> Bed | None:
        """The bed, a new one where there is room. speaks: itself was heard, not its node's word of it."""
        key = f"{site}/{node}/{stream}"
        if key not in self.beds:
            if not self._room((site, node), speaks):
                return None
            self.beds[key] = bed = Bed(site, node, stream, now)
            bed.changed |= {"truth", "subject"}
        return self.beds[key]

    def _room(self, place: tuple[str, str], speaks: bool) -> bool:
        """For one more bed; one that has only been told of makes room for one that speaks."""
        crowd = [bed for bed in self.beds.values() if (bed.site, bed.node) == place]
        if len(crowd) < MOST_OF_NODE:
            if len(self.beds) < MOST_BEDS:
                return True
            crowd = list(self.beds.values())
        silent = next((bed for bed in crowd if not bed.spoke), None) if speaks else None
        if silent is not None:
            del self.beds[silent.key]
            self._left = True
            return True
        if self._warnings.take(time.monotonic()):
            log.error("too many beds, the newest are not shown", node="/".join(place), beds=len(crowd))
        return False

    def _judge(self, bed: Bed, now: float) -> None:
        node = self._nodes.get((bed.site, bed.node), NodeView())
        try:
            bed.see(judge(node, bed.status, bed.heard, self.broker_lost, self._patience, now))
        except Exception as why:
            self._begin_anew(bed, why, now)

    def _card(self, bed: Bed, parts: Set[Part] | None, now: float) -> dict[str, Any]:
        try:
            return bed.card(parts, bed.attention(self._labels, now))
        except Exception as why:
            bed = self._begin_anew(bed, why, now)
            return bed.card(None, bed.attention(self._labels, now))

    def _begin_anew(self, bed: Bed, why: Exception, now: float) -> Bed:
        """In place of a bed that cannot be shown, as if nothing had been heard of it: it is `unknown` until
        it speaks again, and takes no other bed's screen with it."""
        log.error("a bed cannot be shown and begins anew", bed=bed.key, reason=one_line(repr(why))[:200])
        self.beds[bed.key] = fresh = Bed(bed.site, bed.node, bed.stream, now)
        fresh.spoke = bed.spoke
        fresh.changed |= ON_CARD | DETAILS
        return fresh
