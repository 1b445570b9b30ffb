"""Puts messages into the outbox, each kind with its own delivery."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Unpack

from daemon.messages import (
    Emotion,
    EpisodeMessage,
    Health,
    Info,
    Message,
    NodeState,
    NodeStatus,
    Quality,
    Response,
    StreamStatus,
    WindowMessage,
    encode,
    stamped,
)
from daemon.outbox import Keep, Outbox
from daemon.record_messages import Answer, DraftMessage, SignedMessage
from daemon.rows import Delivery
from daemon.topics import Topics

# Seconds after which nobody can use them any more.
QUALITY_FRESH_S = 30.0
WINDOW_FRESH_S = 30.0
HEALTH_FRESH_S = 120.0
RESPONSE_FRESH_S = 60.0
QUALITY = "quality"


class Post:
    """reading_expiry_s: how long a reading describes the present."""

    def __init__(self, outbox: Outbox, topics: Topics, reading_expiry_s: float) -> None:
        self.topics = topics
        self._outbox = outbox
        self._reading_expiry_s = reading_expiry_s

    def emotion(self, stream: str, message: Emotion) -> None:
        topic = self.topics.of(stream, "emotion")
        self._put(topic, message, retain=True, keep=Keep.WHILE_ROOM, expiry_s=self._reading_expiry_s)

    def quality(self, stream: str, message: Quality) -> None:
        topic = self.topics.of(stream, QUALITY)
        self._put(topic, message, qos=0, retain=True, keep=Keep.WHILE_FRESH, expiry_s=QUALITY_FRESH_S)

    def window(self, stream: str, message: WindowMessage) -> None:
        """Too much to keep for a broker that is away: worth seeing while it is new."""
        topic = self.topics.of(stream, "window")
        self._put(topic, message, qos=0, keep=Keep.WHILE_FRESH, expiry_s=WINDOW_FRESH_S)

    def stream_status(self, stream: str, message: StreamStatus) -> None:
        self._put(self.topics.of(stream, "status"), message, retain=True, keep=Keep.LONG)

    def episode(self, stream: str, message: EpisodeMessage) -> None:
        self._put(self.topics.of(stream, "episode"), message, keep=Keep.LONG)

    def draft(self, stream: str, message: DraftMessage) -> None:
        self._put(self.topics.of(stream, "emr/draft"), message)

    def signed(self, stream: str, message: SignedMessage) -> None:
        self._put(self.topics.of(stream, "emr/signed"), message)

    def answer(self, stream: str, message: Answer, correlation: bytes | None) -> None:
        """Kept as long as an answer to a command: whoever asked has gone by then."""
        self._reply(self.topics.of(stream, "answer"), message, correlation)

    def health(self, message: Health) -> None:
        self._put(self.topics.health, message, retain=True, keep=Keep.WHILE_FRESH, expiry_s=HEALTH_FRESH_S)

    def response(self, message: Response, correlation: bytes | None) -> None:
        self._reply(self.topics.response, message, correlation)

    def harden(self) -> None:
        """See `Outbox.harden`."""
        self._outbox.harden()

    def again(self, start: float, end: float, wanted: Callable[[str], bool]) -> int:
        """Sends anew what was made from `start` to `end`, UTC seconds; returns how many messages.

        wanted: asked once a topic. Raises OutboxError.
        """
        return self._outbox.replay(start, end, wanted)

    def node_status(self, state: NodeState, seq: int, alarms: Sequence[str] = ()) -> bytes:
        """The payload of the node's status, for the publisher: it is a state of the connection itself,
        so it is said on the connection and not stored."""
        return encode(stamped(NodeStatus(state=state, alarms=list(alarms)), seq, time.time()))

    def info(self, message: Info) -> bytes:
        """The payload of the birth, likewise."""
        return encode(stamped(message, self._outbox.next_seq(self.topics.info), time.time()))

    def info_anew(self, message: Info) -> None:
        """The birth once more, where what it says has changed."""
        self._put(self.topics.info, message, retain=True)

    def _reply(self, topic: str, message: Message, correlation: bytes | None) -> None:
        fresh = RESPONSE_FRESH_S
        self._put(topic, message, keep=Keep.WHILE_FRESH, expiry_s=fresh, correlation=correlation)

    def _put(self, topic: str, message: Message, **how: Unpack[Delivery]) -> None:
        payload = encode(stamped(message, self._outbox.peek_seq(topic), time.time()))
        self._outbox.put(topic, payload, **how)
