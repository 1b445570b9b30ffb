"""A reader of a pool: answers whatever nodes ask, and confirms a question only when it is answered.

What is lost with a reader that is killed was not confirmed, and the node asks again. Windows are read one by
one, each the way the node's own reader would have read it: the answer is the same, bit for bit.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from daemon.confirmed import ConfirmedClient
from daemon.fleet.held import Counts, Held, held_from
from daemon.fleet.letters import judgement, packet_bytes
from daemon.fleet.settings import ReaderConfig
from daemon.fleet.standing import Standing
from daemon.fleet.topics import FleetTopics
from daemon.inference import MAX_BATCH
from daemon.latency import Latencies
from daemon.lifesigns import STUCK_S
from daemon.link import keep_connected, subscribe
from daemon.login import NodeLogin
from daemon.messages import NodeState
from daemon.mqtt_settings import warnings
from daemon.notify import notify, watchdog_s
from daemon.rates import Allowance
from daemon.reasons import NO_SUBSCRIBER, failed
from pipeline.bundle import Bundle
from pipeline.reader import Reader

log = structlog.get_logger("reader")

# Questions that the broker may hand over before the first is confirmed: some hundred milliseconds of work.
HELD = 64
# Of a stopping reader: for what it holds; and a silence that says that the broker has nothing left for it.
DRAIN_S, QUIET_S = 10.0, 0.3
# How long an answer is worth something to the node, seconds.
_ANSWER_FRESH_S = 5
_HEALTH_S = 30.0


class Worker:
    """`run` may be called once."""

    def __init__(self, config: ReaderConfig, bundle: Bundle, reader: Reader) -> None:
        """Raises ConfigError for certificates or a password file that cannot be used."""
        self._mqtt = config.mqtt
        self._settings = bundle.manifest.pipeline
        self._reader = reader
        self._login = NodeLogin(config.mqtt)
        self._topics = FleetTopics(config.mqtt.site, bundle.sha256)
        self._latencies = Latencies()
        self.counts = Counts()
        self._standing = Standing(config.mqtt, bundle, self.counts, self._latencies)
        self._client: ConfirmedClient | None = None
        self._held: dict[tuple[str, bytes], Held] = {}
        self._waiting: deque[Held] = deque()
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._busy_since: float | None = None
        self._warnings = Allowance(5, 60.0)

    async def run(self, shutdown: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Until `shutdown`; then takes no new questions, answers what it holds, and leaves.

        ready: called when the broker is being sought. Raises, in an exception group, LoginError where the
        broker has never let this user in, and what the model raises: such a one is not to be trusted.
        """
        for line in warnings(self._mqtt):
            log.warning(line)
        with ThreadPoolExecutor(1, thread_name_prefix="reader") as thread:
            async with asyncio.TaskGroup() as tasks:
                chores = [
                    tasks.create_task(self._work(thread), name="work"),
                    tasks.create_task(self._watchdog(), name="watchdog"),
                ]
                notify("READY=1")
                ready()
                await keep_connected(lambda: self._session(shutdown), self._login, shutdown)
                for chore in chores:
                    chore.cancel()
        log.info("stopped", **self.counts.told())

    async def _session(self, shutdown: asyncio.Event) -> None:
        login, standing = self._login, self._standing
        will = aiomqtt.Will(standing.topic, standing.message("offline", 0), 1, True)
        async with ConfirmedClient(
            self._mqtt,
            self._mqtt.identifier("reader"),
            login,
            will=will,
            hear=self._hear,
            most_bytes=packet_bytes(self._settings),
            held=HELD,
        ) as client:
            login.connects += 1
            self._client = client
            waits = {
                asyncio.create_task(client.ended()),
                asyncio.create_task(shutdown.wait()),
                asyncio.create_task(self._stand(client)),
            }
            try:
                if await subscribe(client, self._topics.shared):
                    log.info(
                        "waiting for questions", broker=self._mqtt.where, bundle=self._topics.bundle[:12]
                    )
                    notify("STATUS=waiting for questions")
                done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                notify("STOPPING=1", "STATUS=stopping: answering what is held")
                await self._drain(client)
                await asyncio.wait({self._say(client, "stopped")}, timeout=QUIET_S)
            finally:
                for task in waits:
                    task.cancel()
                await asyncio.gather(*waits, return_exceptions=True)
                self._client = None
                notify("STATUS=no broker")
                # The broker forgets with the connection what was not confirmed, and nodes ask again.
                self.counts.cut_off += len(self._held)
                self._held.clear()
                self._waiting.clear()

    async def _drain(self, client: ConfirmedClient) -> None:
        await client.unsubscribe(self._topics.shared)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while await self._news() or self._held:
                    pass

    async def _news(self) -> bool:
        """Whether anything comes or goes before it has been quiet for long enough."""
        self._moved.clear()
        try:
            async with asyncio.timeout(QUIET_S):
                await self._moved.wait()
        except TimeoutError:
            return False
        return True

    def _hear(self, message: aiomqtt.Message) -> None:
        client = self._client
        if client is None:
            return  # the connection is on its end
        self._moved.set()
        self.counts.heard += 1
        try:
            held = held_from(message, client, self._topics, self._settings)
        except ValueError as why:
            self.counts.malformed += 1
            self._warn("a question is not understood", topic=message.topic.value, reason=str(why))
            client.done_with(message)
            return
        if held.key in self._held:
            self.counts.repeated += 1
            client.done_with(message)
            return
        self._held[held.key] = held
        self._waiting.append(held)
        self._wake.set()

    async def _work(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            taken = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
            if not taken:
                await self._wake.wait()
                continue
            # A person's prefix is put back once for all windows behind it.
            taken.sort(key=lambda held: held.prefix)
            try:
                await loop.run_in_executor(thread, self._judge, taken, loop)
            finally:
                self._busy_since = None

    def _judge(self, taken: list[Held], loop: asyncio.AbstractEventLoop) -> None:
        """In the thread. Each answer goes out as soon as it is there."""
        for held in taken:
            if not self._holds(held):
                continue
            self._busy_since = time.monotonic()
            if self._busy_since > held.due:
                loop.call_soon_threadsafe(self._leave, held)
                continue
            p = self._reader.judge(held.window, held.person)
            loop.call_soon_threadsafe(self._answer, held, p, time.monotonic() - self._busy_since)

    def _leave(self, held: Held) -> None:
        """The node has read it by itself."""
        if self._holds(held):
            self.counts.overdue += 1
            self._let_go(held)

    def _answer(self, held: Held, p: list[float], infer_s: float) -> None:
        if not self._holds(held):
            return
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.CorrelationData = held.mark
        properties.MessageExpiryInterval = _ANSWER_FRESH_S
        try:
            sent = held.client.send(held.to, judgement(p, infer_s), 1, False, properties)
        except aiomqtt.MqttError:
            return  # `_session` counts it as cut off
        sent.add_done_callback(lambda reason: self._settle(held, reason, infer_s))

    def _settle(self, held: Held, reason: asyncio.Future[int], infer_s: float) -> None:
        if reason.cancelled() or not self._holds(held):
            return
        self._let_go(held)
        if failed(reason.result()):
            self.counts.denied += 1
            self._warn("the broker denies an answer: check its access rules", topic=held.to)
        elif reason.result() == NO_SUBSCRIBER:
            self.counts.unheard += 1
        else:
            self.counts.answered += 1
            self._latencies.add(infer_s * 1e3, (time.monotonic() - held.arrived) * 1e3)

    def _holds(self, held: Held) -> bool:
        """False where its connection has gone meanwhile."""
        return self._held.get(held.key) is held

    def _let_go(self, held: Held) -> None:
        del self._held[held.key]
        held.client.done_with(held.message)
        self._moved.set()

    def _warn(self, what: str, **more: object) -> None:
        if self._warnings.take(time.monotonic()):
            log.warning(what, **more)

    async def _stand(self, client: ConfirmedClient) -> None:
        while True:
            self._say(client, "online")
            await asyncio.sleep(_HEALTH_S)

    def _say(self, client: ConfirmedClient, state: NodeState) -> asyncio.Future[int]:
        standing = self._standing
        return client.send(standing.topic, standing.message(state, len(self._held)), 1, True)

    async def _watchdog(self) -> None:
        interval = watchdog_s()
        while interval is not None:
            since = self._busy_since
            if since is None or time.monotonic() - since < STUCK_S:
                notify("WATCHDOG=1")
            else:
                log.error("no sign of life is given to the watchdog: the model does not come back")
            await asyncio.sleep(interval / 3)
