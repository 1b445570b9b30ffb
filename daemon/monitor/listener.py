"""The monitor's MQTT client: hears the public topics, sends commands and waits for their answers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from daemon.backoff import Backoff
from daemon.config_errors import one_line
from daemon.confirmed import ConfirmedClient
from daemon.decoding import AnyMessage, decode
from daemon.errors import CommandError
from daemon.link import subscribe
from daemon.login import Login, explain, number
from daemon.messages import Response
from daemon.monitor.broker import Broker
from daemon.mqtt_settings import warnings
from daemon.rates import Allowance
from daemon.reasons import NO_SUBSCRIBER, NOT_AUTHORISED, TAKEN_OVER, failed
from daemon.record_messages import Answer
from daemon.topics import ROOT

log = structlog.get_logger("listener")

# A record with its FHIR is some hundred kilobytes; nothing we want to hear is a megabyte.
MAX_PACKET_BYTES = 1 << 20
# The broker keeps records and answers for a monitor that restarts, this long.
KEPT_S = 86400
# A draft that is written by the model takes seconds on a small machine.
ANSWER_S = 30.0
# An answer to a question is some kilobytes in all, told within seconds of its first piece: a node that goes
# on and on is cut off.
MOST_ANSWER_BYTES = 1 << 18
MOST_ANSWER_S = 120.0
# A broker takes milliseconds to confirm a command.
CONFIRM_S = 10.0
# Between two attempts.
_MOST_S = 5.0

# QoS 0 where only the present counts: a broker that queues readings for a monitor that is away would
# throw away records to make room. Retained messages come at every subscription anyway.
_HEARD = {
    "+/status": 1, "+/info": 1, "+/health": 0, "+/+/status": 1, "+/+/quality": 0, "+/+/emotion": 0,
    "+/+/window": 0, "+/+/episode": 1, "+/+/emr/+": 1, "+/+/answer": 1, "+/cmd/response": 1,
}  # fmt: skip


@dataclass(eq=False)
class _Pending:
    """done: with the node's word, or None where it was cut off. room: bytes that may still come."""

    done: asyncio.Future[Response | None]
    room: int = MOST_ANSWER_BYTES
    pieces: asyncio.Queue[Answer | None] = field(default_factory=asyncio.Queue)


class Listener:
    """hear: called with topic, message, and whether it was retained. state: with True once subscribed."""

    def __init__(
        self, broker: Broker, hear: Callable[[str, AnyMessage, bool], None], state: Callable[[bool], None]
    ) -> None:
        """Raises ConfigError for certificates or a password file that cannot be used."""
        self._broker = broker
        self._hear = hear
        self._state = state
        self._login = Login(broker)
        self._client: ConfirmedClient | None = None
        self._pending: dict[bytes, _Pending] = {}
        self._warnings = Allowance(5, 60.0)

    async def run(self) -> None:
        """Until cancelled. A broker that is away, or refuses us, is tried again: the page says so."""
        for line in warnings(self._broker):
            log.warning(line)
        backoff, said = Backoff(0.25, _MOST_S), ""
        while True:
            begun = time.monotonic()
            try:
                await self._session()
            except aiomqtt.MqttError as why:
                reason, _ = explain(why, self._broker)
                if number(why) == TAKEN_OVER:
                    reason += ": another monitor has the same broker.name, give one of them another"
                if reason != said:
                    log.warning("no broker, trying again", broker=self._broker.where, reason=reason)
                said = reason
            finally:
                if self._client is not None:
                    self._client = None
                    self._state(False)
            if time.monotonic() - begun > _MOST_S:
                backoff.begin_anew()
                said = ""
            await asyncio.sleep(backoff.pause_s())

    async def command(self, topic: str, payload: bytes) -> Response:
        """Sends a command and waits for its answer. Raises CommandError where none comes."""
        with self._asked() as (mark, pending):
            await self._send(topic, payload, mark)
            return await self._answered(pending)

    async def ask(self, topic: str, payload: bytes) -> AsyncIterator[Answer | Response]:
        """The pieces of an answer as they come, and at last the node's word on the command.

        Raises CommandError where none comes.
        """
        with self._asked() as (mark, pending):
            await self._send(topic, payload, mark)
            pending.done.add_done_callback(lambda _: pending.pieces.put_nowait(None))
            loop = asyncio.get_running_loop()
            end = loop.time() + MOST_ANSWER_S
            try:
                async with asyncio.timeout(ANSWER_S) as patience:
                    while (piece := await pending.pieces.get()) is not None:
                        yield piece
                        patience.reschedule(min(loop.time() + ANSWER_S, end))
            except TimeoutError:
                raise CommandError(_SILENT if loop.time() < end else _ENDLESS) from None
            yield _word(pending.done.result())

    @contextlib.contextmanager
    def _asked(self) -> Iterator[tuple[bytes, _Pending]]:
        mark = secrets.token_bytes(16)
        self._pending[mark] = pending = _Pending(asyncio.get_running_loop().create_future())
        try:
            yield mark, pending
        finally:
            del self._pending[mark]

    async def _send(self, topic: str, payload: bytes, mark: bytes) -> None:
        client = self._client
        if client is None:
            raise CommandError("the broker is not reached at present: nothing was sent")
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.CorrelationData = mark
        try:
            reason = await client.confirm(topic, payload, timeout_s=CONFIRM_S, properties=properties)
        except aiomqtt.MqttError as why:
            raise CommandError(f"not sent: {one_line(str(why))}") from None
        if reason == NO_SUBSCRIBER:
            raise CommandError("no node hears this command: the bed's node is not connected to the broker")
        if reason == NOT_AUTHORISED:
            raise CommandError(
                f"the broker denies this monitor {topic}: mend its access rules (docs/monitor.md)"
            )
        if failed(reason):
            raise CommandError(f"the broker does not take this command (reason {reason} of MQTT 5)")

    async def _answered(self, pending: _Pending) -> Response:
        try:
            async with asyncio.timeout(ANSWER_S):
                return _word(await pending.done)
        except TimeoutError:
            raise CommandError(_SILENT) from None

    async def _session(self) -> None:
        broker = self._broker
        self._login.renew()
        async with ConfirmedClient(
            broker,
            f"eegcopilot-monitor-{broker.name}",
            self._login,
            hear=self._take,
            most_bytes=MAX_PACKET_BYTES,
            kept_s=KEPT_S,
        ) as client:
            for site in broker.sites:
                for what, qos in _HEARD.items():
                    await subscribe(client, f"{ROOT}/{site}/{what}", qos)
            self._client = client
            self._state(True)
            log.info("broker connected", broker=broker.where)
            await client.ended()

    def _take(self, raw: aiomqtt.Message) -> None:
        """What waits for us comes at once, before the subscriptions are confirmed."""
        try:
            message = decode(bytes(raw.payload))
            self._settle(message, len(raw.payload), getattr(raw.properties, "CorrelationData", None))
            self._hear(raw.topic.value, message, bool(raw.retain))
        except (ValueError, OverflowError) as why:  # no JSON, no message of ours, or numbers that are none
            # An empty one clears what was retained.
            if raw.payload and self._warnings.take(time.monotonic()):
                log.warning("not understood", topic=raw.topic.value, reason=one_line(str(why))[:200])
        except Exception as why:
            # `ended` raises it too, and so ends the monitor: a page that hears nothing more must not stay.
            log.error("a message ends the monitor", topic=raw.topic.value, reason=one_line(repr(why))[:200])
            raise

    def _settle(self, message: AnyMessage, size: int, mark: bytes | None) -> None:
        """size: bytes."""
        pending = self._pending.get(mark) if isinstance(mark, bytes) else None
        if pending is None:
            return
        if isinstance(message, Answer):
            pending.room -= size
            if pending.room >= 0:
                pending.pieces.put_nowait(message)
            elif not pending.done.done():
                pending.done.set_result(None)
        elif isinstance(message, Response) and not pending.done.done():
            pending.done.set_result(message)


def _word(answer: Response | None) -> Response:
    """Raises CommandError where the node was cut off."""
    if answer is None:
        raise CommandError(_ENDLESS)
    return answer


_ENDLESS = (
    f"the answer was cut off: it is longer than {MOST_ANSWER_BYTES // 1024} KiB, or did not end within "
    f"{MOST_ANSWER_S:g} s: look at the node's log"
)
_SILENT = (
    f"no answer within {ANSWER_S:g} s, though the broker took the command: look at the node's log, and "
    "whether the broker's access rules let this monitor hear cmd/response"
)
