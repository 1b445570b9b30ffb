"""Every payload that is published, as a record. JSON, UTC ISO times, the schema's name in each."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct, structs

from daemon.pseudonym import Pseudonym

NodeState = Literal["online", "stopped", "offline"]
StreamState = Literal["calibrating", "online", "degraded", "stalled", "offline"]


def iso(seconds: float) -> str:
    """Seconds since the Unix epoch as `2026-01-31T12:00:00.123456Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def unix(text: str) -> float:
    """The reverse of `iso`; UTC where no zone is named. Raises ValueError or OverflowError for no time."""
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


class Message(Struct, frozen=True, kw_only=True, tag_field="schema"):
    """What all payloads carry.

    id: unique. seq: counts up by one in each topic, across restarts: a step of more than one is a loss.
    time: UTC when the message was made. replay: sent before, and again because somebody asked; with the same
    id and seq.
    """

    id: str = ""
    seq: int = 0
    time: str = ""
    research_use_only: bool = True
    replay: bool = False


class NodeStatus(Message, frozen=True, kw_only=True, tag="eegcopilot.status/1"):
    """The daemon itself; `offline` is said by the broker, as the will.

    alarms: what somebody has to look at, one line each. The last status of a connection was numbered when the
    connection began, so that its number may be lower than that of the one before.
    """

    state: NodeState
    alarms: list[str] = []


class BundleInfo(Struct, frozen=True):
    id: str
    sha256: str
    labels: list[str]
    label_schema: str


class StreamInfo(Struct, frozen=True):
    name: str
    source: str


class Info(Message, frozen=True, kw_only=True, tag="eegcopilot.info/1"):
    """Birth: said at every connection. session counts the daemon's starts on this state directory."""

    session: int
    started: str
    versions: dict[str, str]
    bundle: BundleInfo
    config_sha256: str
    streams: list[StreamInfo]


class StreamHealth(Struct, frozen=True):
    """Counts since the start; chunks_waiting and windows_waiting are now.

    samples: arrived. lost: known to have gone missing before they arrived. chunks_dropped,
    samples_dropped, windows_dropped: thrown away here because the machine was too slow.
    recorded, unrecorded: samples on the disk, and such as it did not take; None where nothing is recorded.
    windows_stale: skipped unread, as they were old news after a hold-up here or on the way.
    windows: cut; each was calibrated on, dropped, stale, or became a label or an abstention. rates: Hz.
    """

    state: StreamState
    samples: int
    lost: int
    gaps: int
    reconnects: int
    backward_stamps: int
    chunks_waiting: int
    chunks_dropped: int
    samples_dropped: int
    windows: int
    windows_calibrating: int
    windows_waiting: int
    windows_dropped: int
    labels: int
    abstained: int
    rate_nominal: float | None
    rate_true: float | None
    windows_stale: int = 0
    recorded: int | None = None
    unrecorded: int | None = None


class Percentiles(Struct, frozen=True):
    """Milliseconds over the last readings; None before the first."""

    p50: float | None
    p99: float | None


class Health(Message, frozen=True, kw_only=True, tag="eegcopilot.health/1"):
    """uptime_s: seconds. rss_mib: resident memory. outbox: counts of messages.

    drafts: made, signed, failed and the like; empty where they are switched off. alarms: as in the node's
    status. pool: of a node with a remote reader, windows asked, answered, read_here, and messages resent,
    late, duplicates, strange; empty for others.
    """

    uptime_s: float
    rss_mib: float
    latency_ms: dict[str, Percentiles]
    outbox: dict[str, int]
    mqtt: dict[str, int]
    streams: dict[str, StreamHealth]
    drafts: dict[str, int] = msgspec.field(default_factory=dict)
    alarms: list[str] = []
    pool: dict[str, int] = msgspec.field(default_factory=dict)


class ReaderMessage(Message, frozen=True, kw_only=True, tag="eegcopilot.reader/1"):
    """A worker of a pool of readers; `offline` is said by the broker, as the will.

    seq counts from `started`: a worker keeps nothing. bundle, sha256: of the model that it reads with.
    counts: questions read, and such as were left unread because they were overdue, repeated or malformed;
    answers that nobody was there to hear (unheard) or that the broker denied. waiting: questions, now.
    """

    state: NodeState
    started: str
    bundle: str
    sha256: str
    rss_mib: float = 0.0
    latency_ms: dict[str, Percentiles] = msgspec.field(default_factory=dict)
    waiting: int = 0
    counts: dict[str, int] = msgspec.field(default_factory=dict)


class Calibration(Struct, frozen=True):
    """Seconds of clean rest so far, and of how many."""

    seconds: float
    of: float


class StreamStatus(Message, frozen=True, kw_only=True, tag="eegcopilot.stream-status/1"):
    """What the samples of a stream allow; since: UTC. calibration only while calibrating."""

    state: StreamState
    since: str
    detail: str
    subject: Pseudonym
    calibration: Calibration | None = None


class ChannelVerdict(Struct, frozen=True):
    good: bool
    reasons: str


class Quality(Message, frozen=True, kw_only=True, tag="eegcopilot.quality/1"):
    """Per channel, of the newest window. score: share of good channels, 0..1.

    channels: empty where too few were good for the window to be read.
    """

    score: float
    channels: dict[str, ChannelVerdict]


class WindowSpan(Struct, frozen=True):
    """UTC. gap_pct: share of missing samples, always 0 as no window crosses a gap.

    clock_unc_ms: half-width of the error of both times.
    """

    start: str
    end: str
    gap_pct: float
    clock_unc_ms: float


class Latency(Struct, frozen=True):
    """Milliseconds. label: the model's run. total: arrival of the window's last sample to publication."""

    label: float
    total: float


class ModelRef(Struct, frozen=True):
    id: str
    sha256: str


class Emotion(Message, frozen=True, kw_only=True, tag="eegcopilot.emotion/1"):
    """One reading. label is null where the model abstained; reason says why."""

    subject: Pseudonym
    window: WindowSpan
    label: str | None
    p: dict[str, float]
    p_smooth: dict[str, float]
    abstained: bool
    reason: str
    quality: float
    latency_ms: Latency
    model: ModelRef


class WindowMessage(Message, frozen=True, kw_only=True, tag="eegcopilot.window/1"):
    """What the model was given of a window; only where the stream's configuration has `windows = true`.

    method: name and version of the compression. levels: codes are 0..levels-1, the middle one is the
    person's rest. codes: of each good channel, (n_codes,), bands one after the other. bands: names of the
    bands; empty where the method has none. deviations: mean distance of each channel and band from rest,
    in spreads of that rest; empty where the method has no bands.
    """

    subject: Pseudonym
    window: WindowSpan
    method: str
    levels: int
    codes: dict[str, list[int]]
    bands: list[str]
    deviations: dict[str, list[float]]


class EpisodeMessage(Message, frozen=True, kw_only=True, tag="eegcopilot.episode/1"):
    """A stable state over time; start, end: UTC, `end` so far."""

    episode: str
    phase: str
    subject: Pseudonym
    label: str
    start: str
    end: str
    readings: int
    p_mean: float
    model: ModelRef


class Response(Message, frozen=True, kw_only=True, tag="eegcopilot.response/1"):
    """Answer to a command. detail: what was done, or in one line why not."""

    stream: str
    verb: str
    ok: bool
    detail: str


M = TypeVar("M", bound=Message)


def stamped(message: M, seq: int, now: float) -> M:
    """`message` with its number in its topic, its time (seconds since the Unix epoch) and, unless it has one,
    an id."""
    return structs.replace(message, id=message.id or uuid.uuid4().hex, seq=seq, time=iso(now))


def encode(message: Message) -> bytes:
    return msgspec.json.encode(message)


def as_replay(payload: bytes) -> bytes:
    """An encoded message with its mark set; nothing else in it changes, hashed parts least of all."""
    # The mark is among the first fields, before any text or record that could hold the same characters.
    return payload.replace(b'"replay":false', b'"replay":true', 1)
