"""Carries the outbox to the broker and commands back; keeps trying for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import Callable

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from daemon.config import Mqtt, read_password
from daemon.config_errors import one_line
from daemon.confirmed import ConfirmedClient, tls_context
from daemon.errors import LoginError
from daemon.messages import Info
from daemon.outbox import Keep, Outbox, Row
from daemon.post import Post

log = structlog.get_logger("publisher")

WINDOW = 32  # publishes under way without an answer: hides the round trip, bounds what is sent twice
CONFIRM_S = 20.0  # a broker that is connected and silent for this long is as good as gone
FAREWELL_S = 5.0  # for what is still waiting when the daemon stops; the rest goes at the next start
_BACKOFF_S = (0.25, 15.0)
# Bad user name or password, not authorised, banned, bad authentication method (MQTT 5, 3.2.2.2).
_REFUSALS = {134, 135, 138, 140}
_TAKEN_OVER = 142


class Publisher:
    """One connection at a time. Birth and subscription first, then what waits, in order."""

    def __init__(
        self,
        mqtt: Mqtt,
        outbox: Outbox,
        post: Post,
        birth: Callable[[], Info],
        command: Callable[[aiomqtt.Message], None],
    ) -> None:
        """birth: asked at every connection. command: called with every message that comes in.

        Raises ConfigError for certificates or a password file that cannot be used.
        """
        self.connects = 0
        self.sent = 0
        self.online = asyncio.Event()
        self._mqtt = mqtt
        self._outbox = outbox
        self._post = post
        self._birth = birth
        self._command = command
        self._password = read_password(mqtt)
        self._tls: ssl.SSLContext | None = tls_context(mqtt)
        self._seqs: tuple[int, int] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, and then until the outbox is empty or its patience has ended.

        Raises LoginError where the broker has never let this user in.
        """
        backoff = _BACKOFF_S[0]
        said = ""
        while True:
            before = self.connects
            try:
                await self._session(stop)
                return
            except aiomqtt.MqttError as why:
                said = self._explain(why, said)
            finally:
                self.online.clear()
            if self.connects > before:
                backoff = _BACKOFF_S[0]
                said = ""
            with contextlib.suppress(TimeoutError):
                # Jitter: after a broker's restart not all its clients should come at once.
                await asyncio.wait_for(stop.wait(), backoff * random.uniform(0.5, 1.5))
            if stop.is_set():
                log.warning("stopping without the broker", **self._outbox.counts())
                return
            backoff = min(2 * backoff, _BACKOFF_S[1])

    def _explain(self, why: aiomqtt.MqttError, said: str) -> str:
        """Logs a failure once for each run of equal ones; raises LoginError where waiting is useless."""
        code = getattr(why, "rc", None)
        number = code.value if isinstance(code, ReasonCode) else None
        where = f"{self._mqtt.host}:{self._mqtt.port}"
        if number in _REFUSALS and self.connects == 0:
            raise LoginError(
                f"broker {where} refuses the login ({code}): check mqtt.username and the password"
            ) from None
        reason = one_line(str(why))
        if number == _TAKEN_OVER:
            reason += ": another daemon has the same mqtt.site and mqtt.node, give one of them another name"
        if reason != said:
            log.warning("no broker, trying again", broker=where, reason=reason)
        return reason

    async def _session(self, stop: asyncio.Event) -> None:
        topics = self._post.topics
        if self._seqs is None:
            self._seqs = self._outbox.next_seq(topics.status), self._outbox.next_seq(topics.status)
        hello, goodbye = self._seqs
        # The will and the clean goodbye share a number: only one of them is ever said.
        will = aiomqtt.Will(topics.status, self._post.node_status("offline", goodbye), 1, True)
        async with ConfirmedClient(self._mqtt, self._password, self._tls, will) as client:
            self._seqs = None
            self.connects += 1
            await self._say(client, topics.status, self._post.node_status("online", hello))
            await self._say(client, topics.info, self._post.info(self._birth()))
            granted = await client.subscribe(topics.commands, qos=1)
            if any(isinstance(code, ReasonCode) and code.is_failure for code in granted):
                log.error(
                    "the broker denies the subscription: commands will not arrive", topic=topics.commands
                )
            log.info("broker connected", broker=f"{self._mqtt.host}:{self._mqtt.port}", times=self.connects)
            self.online.set()
            listen = asyncio.create_task(self._listen(client), name="mqtt-listen")
            drain = asyncio.create_task(self._drain(client, stop), name="mqtt-drain")
            try:
                done, _ = await asyncio.wait({listen, drain}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                listen.cancel()
                drain.cancel()
                await asyncio.gather(listen, drain, return_exceptions=True)
            for task in done:
                task.result()
            # A clean disconnection says no will.
            await self._say(client, topics.status, self._post.node_status("stopped", goodbye))

    async def _say(self, client: ConfirmedClient, topic: str, payload: bytes) -> None:
        """Publishes a retained state of this connection and waits for the answer."""
        try:
            reason = await asyncio.wait_for(client.send(topic, payload, 1, True), CONFIRM_S)
        except TimeoutError:
            raise aiomqtt.MqttError("the broker does not answer") from None
        if reason >= 128:
            log.error("the broker denies a publish: check its access rules", topic=topic, reason=reason)

    async def _listen(self, client: ConfirmedClient) -> None:
        async for message in client.messages:
            self._command(message)

    async def _drain(self, client: ConfirmedClient, stop: asyncio.Event) -> None:
        """Sends what waits, oldest first; returns once stopping and nothing is left, or time is up."""
        last = 0
        flying: dict[asyncio.Future[int], int] = {}
        changed: asyncio.Task[object] = asyncio.create_task(self._outbox.changed.wait())
        stopping: asyncio.Task[object] = asyncio.create_task(stop.wait())
        deadline: float | None = None
        try:
            while True:
                self._outbox.changed.clear()
                for row in self._outbox.waiting(last, WINDOW - len(flying)):
                    flying[client.send(row.topic, row.payload, row.qos, *_delivery(row))] = row.id
                    last = row.id
                if stop.is_set():
                    deadline = deadline or time.monotonic() + FAREWELL_S
                    if not flying or time.monotonic() > deadline:
                        return
                if changed.done():
                    changed = asyncio.create_task(self._outbox.changed.wait())
                waits: set[asyncio.Future[int] | asyncio.Task[object]] = set(flying)
                if len(flying) < WINDOW:
                    waits.add(changed)
                if not stop.is_set():
                    waits.add(stopping)
                patience = FAREWELL_S if deadline else CONFIRM_S if flying else None
                done, _ = await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                if not done and not deadline:
                    raise aiomqtt.MqttError("the broker does not confirm what it is sent")
                for answer in flying.keys() & done:
                    self._settle(flying.pop(answer), answer.result())
        finally:
            changed.cancel()
            stopping.cancel()
            for answer in flying:
                answer.cancel()

    def _settle(self, row_id: int, reason: int) -> None:
        self._outbox.settle(row_id, reason)
        if reason < 128:
            self.sent += 1
        else:
            log.error("the broker refused a message, kept apart", row=row_id, reason=reason)


def _delivery(row: Row) -> tuple[bool, Properties | None]:
    """Whether to retain the row, and its MQTT properties, as of now."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    retain = row.retain
    if row.correlation is not None:
        properties.CorrelationData = row.correlation
    if row.expiry_s is not None:
        left = row.created + row.expiry_s - time.time()
        if left > 0 or row.keep != Keep.WHILE_ROOM:
            properties.MessageExpiryInterval = max(1, round(left))
        else:
            # Late, after an outage: still worth a record, no longer the present state.
            retain = False
    return retain, properties
