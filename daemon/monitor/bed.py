"""What is known of one stream of one node, as the screens need it."""

from __future__ import annotations

from collections import deque
from collections.abc import Set
from typing import Any, Literal

from daemon.messages import (
    Calibration,
    Emotion,
    EpisodeMessage,
    Quality,
    StreamStatus,
    WindowMessage,
    unix,
)
from daemon.monitor.truth import Truth
from daemon.record_messages import DraftMessage, SignedMessage

# Readings kept for the timeline, which shows five minutes: at one a second.
MOST_TREND = 300
# Of them, those a card draws.
CARD_TREND = 60
# Windows kept for the scrolling codes: four minutes at one every two seconds.
MOST_WINDOWS = 120
MOST_EPISODES = 100
# Readings further apart than this have something between them, such as a calibration, seconds.
GAP_S = 8.0
# A stream that has been away for so long is a bed without a patient, seconds.
_VACANT_S = 900.0

# In these a stream reads nothing, and what it read before is no longer the present.
_UNREAD = ("calibrating", "stalled", "offline")

Part = Literal[
    "truth", "subject", "calibration", "reading", "point", "quality", "draft", "window", "channels", "episode"
]
# What a card does not show.
DETAILS: frozenset[Part] = frozenset({"window", "channels", "episode"})
ON_CARD: frozenset[Part] = frozenset({"truth", "subject", "calibration", "reading", "quality", "draft"})


class Bed:
    """key: `site/node/stream`. changed: parts that screens have not been sent yet. spoke: whether it was ever
    heard itself. Times: UTC seconds."""

    def __init__(self, site: str, node: str, stream: str, now: float) -> None:
        self.key = f"{site}/{node}/{stream}"
        self.site, self.node, self.stream = site, node, stream
        self.status: StreamStatus | None = None
        self.heard = now
        self.truth = Truth("unknown", now, "unheard")
        self.changed: set[Part] = set()
        self.missed = 0
        self.spoke = False
        self.subject = ""
        self._reading: Emotion | None = None
        self._label_since = 0.0
        # Since when readings have followed each other without a gap; 0.0 where none was seen.
        self._resumed = 0.0
        self._seq = 0
        # (UTC seconds, place of the label or -1 for none, probabilities): tuples, as a ward has thousands.
        self._points: deque[tuple[float, int, tuple[float, ...]]] = deque(maxlen=MOST_TREND)
        self._quality: Quality | None = None
        self._windows: deque[dict[str, Any]] = deque(maxlen=MOST_WINDOWS)
        self._episodes: dict[str, EpisodeMessage] = {}
        self._draft: dict[str, Any] | None = None

    def told_status(self, message: StreamStatus) -> None:
        self.status = message
        self.changed.add("calibration")
        if message.state in _UNREAD and self._reading is not None:
            self._reading = None
            self.changed.add("reading")
        self._meet(message.subject)

    def told_reading(self, message: Emotion) -> None:
        """A repeated one changes nothing; a step in the numbers is counted as missed.

        Raises ValueError, and takes in nothing, where the label is none of those that have a probability.
        """
        if message.seq == self._seq:
            return
        p = message.p_smooth or message.p
        shown = -1 if message.label is None else list(p).index(message.label)
        if self._seq and message.seq > self._seq:
            self.missed += message.seq - self._seq - 1
        self._seq = message.seq
        self._meet(message.subject)
        end = unix(message.window.end)
        before = self._reading
        if self._points and end - self._points[-1][0] > GAP_S:
            self._resumed = self._label_since = end
        elif before is None or message.label != before.label:
            self._label_since = end
        self._reading = None if self._is_past(end) else message
        self._points.append((round(end, 2), shown, tuple(round(one, 3) for one in p.values())))
        self.changed |= {"reading", "point"}

    def told_quality(self, message: Quality) -> None:
        if self._quality is None or message.score != self._quality.score:
            self.changed.add("quality")
        self._quality = message
        self.changed.add("channels")

    def told_window(self, message: WindowMessage) -> None:
        self._windows.append(
            {
                "end": unix(message.window.end),
                "method": message.method,
                "levels": message.levels,
                "codes": message.codes,
                "bands": message.bands,
                "deviations": message.deviations,
            }
        )
        self.changed.add("window")

    def told_episode(self, message: EpisodeMessage) -> None:
        self._episodes.pop(message.episode, None)
        self._episodes[message.episode] = message
        while len(self._episodes) > MOST_EPISODES:
            del self._episodes[next(iter(self._episodes))]
        self.changed |= {"episode", "reading"}

    def told_record(self, message: DraftMessage | SignedMessage) -> None:
        self.remember(
            message.draft.id,
            message.draft.version,
            message.draft.status,
            message.when if isinstance(message, SignedMessage) else message.time,
        )

    def remember(self, draft: str, version: int, status: str, at: str) -> None:
        """The newest record that was heard, perhaps before this start."""
        self._draft = {"id": draft, "version": version, "status": status, "at": at}
        self.changed.add("draft")

    def see(self, truth: Truth) -> None:
        if truth != self.truth:
            self.truth = truth
            self.changed.add("truth")

    def attention(self, labels: frozenset[str], now: float) -> int:
        """0 comes first. Lost signal, then a state to look at, bad signal, a draft to decide on, the rest."""
        state = self.truth.state
        if state in ("offline", "unknown", "stalled"):
            vacant = self.truth.cause == "node_stopped" or now - self.truth.since > _VACANT_S
            return 6 if vacant else 0
        if self._reading is not None and state == "online" and self._reading.label in labels:
            return 1
        if state == "degraded":
            return 2
        if self._draft is not None and self._draft["status"] == "preliminary":
            return 3
        return 5 if state == "calibrating" else 4

    def card(self, parts: Set[Part] | None, rank: int) -> dict[str, Any]:
        """What the ward shows, or of that the parts that changed."""
        wanted = ON_CARD if parts is None else parts
        told: dict[str, Any] = {"rank": rank}
        if "truth" in wanted:
            told["truth"] = self.truth
        if "subject" in wanted:
            told["subject"] = self.subject
            # Perhaps another person's: what screens hold is not to go on.
            told["trend"] = list(self._points)[-CARD_TREND:]
        if "calibration" in wanted:
            told["calibration"] = self._calibration()
        if "reading" in wanted:
            told["reading"] = self._shown()
        if "quality" in wanted:
            told["quality"] = None if self._quality is None else self._quality.score
        if "draft" in wanted:
            told["draft"] = self._draft
        if parts is None:
            told |= {"site": self.site, "node": self.node, "stream": self.stream}
        elif "point" in wanted and "subject" not in wanted:
            told["point"] = self._points[-1]
        return told

    def detail(self, parts: Set[Part] | None) -> dict[str, Any]:
        """What the bed view shows besides the card."""
        told: dict[str, Any] = {}
        if parts is None or "channels" in parts:
            told["channels"] = {} if self._quality is None else self._quality.channels
        if parts is None or "episode" in parts:
            told["episodes"] = list(reversed(self._episodes.values()))
        if parts is None or "subject" in parts:
            told |= {"windows": list(self._windows), "points": list(self._points), "missed": self.missed}
        elif "window" in parts:
            told["window"] = self._windows[-1]
        return told

    def _calibration(self) -> Calibration | None:
        return None if self.status is None else self.status.calibration

    def _shown(self) -> dict[str, Any] | None:
        reading = self._reading
        if reading is None:
            return None
        running = next(reversed(self._episodes.values()), None)
        same = running is not None and running.phase != "end" and running.label == reading.label
        # An episode may have begun before a gap; whether it lasted through that, nobody knows.
        since = max(unix(running.start), self._resumed) if same and running is not None else self._label_since
        return {
            "label": reading.label,
            "p": reading.p,
            "p_smooth": reading.p_smooth,
            "reason": reading.reason,
            "at": reading.window.end,
            "sent": reading.time,
            "id": reading.id,
            "since": since,
            "model": reading.model.id,
        }

    def _is_past(self, end: float) -> bool:
        """Whether a window that ended then was read before the stream stopped reading."""
        status = self.status
        return status is not None and status.state in _UNREAD and end <= unix(status.since)

    def _meet(self, subject: str) -> None:
        """Another person: what was seen of the one before is not theirs."""
        if subject == self.subject:
            return
        if self.subject:
            self._points.clear()
            self._windows.clear()
            self._episodes.clear()
            self._draft = None
            self._reading = None
            self.changed |= {"reading", "draft", "episode"}
        self.subject = subject
        self.changed.add("subject")
