"""A thin node's way to the pool: asks readers elsewhere, and knows when not to wait for them.

A question goes out at QoS 1 and is sent once more where no answer has come half-way, as the reader that had
it may be gone. What is not answered in time is the node's own reader's; so every window is read once, and
whatever comes after that is counted and dropped.
"""

from __future__ import annotations

import asyncio
import math
import random
import secrets
import time
from collections import OrderedDict

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from daemon.alarms import Alarms
from daemon.confirmed import ConfirmedClient
from daemon.errors import LoginError
from daemon.fleet.letters import Judgement, question, read_judgement
from daemon.fleet.topics import FleetTopics
from daemon.link import keep_connected, subscribe
from daemon.login import NodeLogin
from daemon.mqtt_settings import Mqtt
from daemon.rates import Allowance
from daemon.reasons import NO_SUBSCRIBER, failed
from pipeline.bundle import Bundle
from pipeline.prompt import Person
from pipeline.reader import verdict
from pipeline.records import CompressedWindow, Reading

log = structlog.get_logger("fleet")

# Of the time that an answer has: when the question is sent once more.
_AGAIN_AT = 0.5
# After a failure the pool is left alone for about so long, and then asked about one window; seconds.
REST_S = 3.0
# For how long nobody answers before somebody is told, seconds.
TELL_S = 15.0
# Marks of questions that are over: enough to tell a late answer from a stranger's.
_REMEMBERED = 4096
_ALARM = "readers"


class Pool:
    """late_s: how long an answer is waited for, seconds."""

    def __init__(self, mqtt: Mqtt, bundle: Bundle, late_s: float, alarms: Alarms | None = None) -> None:
        """Raises ConfigError for certificates or a password file that cannot be used."""
        self._mqtt = mqtt
        self._manifest = bundle.manifest
        self._late_s = late_s
        self._alarms = alarms or Alarms()
        self._topics = FleetTopics(mqtt.site, bundle.sha256)
        self._login = NodeLogin(mqtt)
        self._client: ConfirmedClient | None = None
        self._open: dict[bytes, asyncio.Future[Judgement | None]] = {}
        self._over: OrderedDict[bytes, bool] = OrderedDict()  # whether it was answered in time
        self._rest_until = 0.0
        self._failing_since: float | None = None
        self._warnings = Allowance(5, 60.0)
        self._counts = dict.fromkeys(
            ("asked", "answered", "read_here", "resent", "late", "duplicates", "strange"), 0
        )

    @property
    def online(self) -> bool:
        """Whether there is a connection on which answers can come."""
        return self._client is not None

    def counts(self) -> dict[str, int]:
        """Windows: asked about; answered in time; read_here, by the node's own reader, asked about or not.

        Messages: questions resent; answers that came late, a second time, or to no question.
        """
        return dict(self._counts)

    async def run(self) -> None:
        """Until cancelled. A broker that is away, or refuses us, is tried again: windows are read here."""
        while True:
            try:
                await keep_connected(self._session, self._login, asyncio.Event())
            except LoginError as why:
                # The publisher, who uses the same login, decides whether that ends the daemon.
                log.error("no questions to the pool", reason=str(why))
                await asyncio.sleep(TELL_S)

    async def read(self, window: CompressedWindow, person: Person) -> Reading | None:
        """None where the pool does not answer in time: the window is then the local reader's."""
        now = time.monotonic()
        told = await self._ask(question(window, person)) if self._worth_asking(now) else None
        if told is None:
            self._counts["read_here"] += 1
            self._fail(now)
            return None
        self._counts["answered"] += 1
        self._failing_since = None
        self._alarms.end(_ALARM)
        return verdict(self._manifest, window, told.p, told.infer_s)

    def _worth_asking(self, now: float) -> bool:
        if self._client is None or now < self._rest_until:
            return False
        # After a failure one window finds out, and the others do not wait for it.
        return self._failing_since is None or not self._open

    def _fail(self, now: float) -> None:
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since > TELL_S:
            self._alarms.begin(
                _ALARM,
                "the pool of readers does not answer and windows are read on this node: look after the "
                "broker, its access rules, and `eeg-copilot reader` with this node's bundle",
            )

    async def _ask(self, payload: bytes) -> Judgement | None:
        mark = secrets.token_bytes(16)
        answer: asyncio.Future[Judgement | None] = asyncio.get_running_loop().create_future()
        self._open[mark] = answer
        self._counts["asked"] += 1
        told = None
        try:
            for attempt, share in enumerate((_AGAIN_AT, 1 - _AGAIN_AT)):
                self._counts["resent"] += attempt
                self._send(mark, payload, answer)
                done, _ = await asyncio.wait({answer}, timeout=share * self._late_s)
                if done:
                    told = answer.result()
                    break
        except aiomqtt.MqttError:
            pass  # the connection has gone: `_session` says so
        finally:
            del self._open[mark]
            self._over[mark] = told is not None
            if len(self._over) > _REMEMBERED:
                self._over.popitem(last=False)
        if told is None:
            # Jitter: the nodes of a ward should not all come back at once.
            self._rest_until = time.monotonic() + REST_S * random.uniform(0.5, 1.5)
        return told

    def _send(self, mark: bytes, payload: bytes, answer: asyncio.Future[Judgement | None]) -> None:
        """Raises aiomqtt.MqttError where there is no connection."""
        if self._client is None:
            raise aiomqtt.MqttError("not connected")
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = self._topics.answer(self._mqtt.node)
        properties.CorrelationData = mark
        # Nobody should work on what is no longer waited for.
        properties.MessageExpiryInterval = math.ceil(self._late_s)
        topic = self._topics.ask(self._mqtt.node)

        def taken(reason: asyncio.Future[int]) -> None:
            if reason.cancelled() or answer.done():
                return
            if reason.result() == NO_SUBSCRIBER:
                answer.set_result(None)
            elif failed(reason.result()):
                answer.set_result(None)
                self._warn("the broker denies a question: check its access rules", topic=topic)

        self._client.send(topic, payload, 1, False, properties).add_done_callback(taken)

    def _hear(self, message: aiomqtt.Message) -> None:
        mark = getattr(message.properties, "CorrelationData", b"")
        try:
            told = read_judgement(bytes(message.payload), len(self._manifest.labels))
        except ValueError as why:
            self._counts["strange"] += 1
            self._warn("an answer is not understood", reason=str(why))
            return
        answer = self._open.get(mark)
        if answer is not None and not answer.done():
            answer.set_result(told)
        elif answer is not None or self._over.get(mark):
            self._counts["duplicates"] += 1
        elif mark in self._over:
            self._counts["late"] += 1
        else:
            self._counts["strange"] += 1
            self._warn("an answer to no question of ours", topic=message.topic.value)

    def _warn(self, what: str, **more: object) -> None:
        if self._warnings.take(time.monotonic()):
            log.warning(what, **more)

    async def _session(self) -> None:
        login, answers = self._login, self._topics.answer(self._mqtt.node)
        async with ConfirmedClient(
            self._mqtt, self._mqtt.identifier(_ALARM), login, hear=self._hear
        ) as client:
            login.connects += 1
            if await subscribe(client, answers):
                log.info("questions go to the pool", broker=self._mqtt.where, bundle=self._topics.bundle[:12])
                self._client = client
                # A new connection may be asked at once, about one window.
                self._rest_until = 0.0
            try:
                await client.ended()
            finally:
                self._client = None
