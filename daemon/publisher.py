"""Carries the outbox to the broker and commands back; keeps trying for as long as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiomqtt
import structlog

from daemon.confirmed import ConfirmedClient, fits
from daemon.link import keep_connected, subscribe
from daemon.login import NodeLogin
from daemon.messages import Info
from daemon.mqtt_settings import Mqtt, warnings
from daemon.outbox import Outbox
from daemon.post import Post
from daemon.reasons import failed
from daemon.sending import CONFIRM_S, Sender

log = structlog.get_logger("publisher")

# Between two attempts.
_MOST_S = 15.0


class Publisher:
    """One connection at a time. Birth and subscription first, then what waits, in order."""

    def __init__(
        self,
        mqtt: Mqtt,
        outbox: Outbox,
        post: Post,
        birth: Callable[[], Info],
        command: Callable[[aiomqtt.Message], None],
        note: Callable[..., None] = lambda *_, **__: None,
    ) -> None:
        """birth: asked at every connection. command: called with every message that comes in.
        note: enters a deed into the audit trail (actor, action, details).

        Raises ConfigError for certificates or a password file that cannot be used.
        """
        self.sender = Sender(outbox)
        self.online = asyncio.Event()
        self._mqtt = mqtt
        self._outbox = outbox
        self._post = post
        self._birth = birth
        self._command = command
        self._login = NodeLogin(mqtt, note)
        self._seqs: tuple[int, int] | None = None

    @property
    def connects(self) -> int:
        return self._login.connects

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, and then until the outbox is empty or its patience has ended.

        Raises LoginError where the broker has never let this user in.
        """
        for line in warnings(self._mqtt):
            log.warning(line)
        if not await keep_connected(lambda: self._attempt(stop), self._login, stop, _MOST_S):
            log.warning("stopping without the broker", **self._outbox.counts())

    async def _attempt(self, stop: asyncio.Event) -> None:
        try:
            await self._session(stop)
        except aiomqtt.MqttError as why:
            if not _unheard(why):
                # The broker may have said the will of this attempt: its number is not to be said again.
                self._seqs = None
            raise
        finally:
            self.online.clear()

    async def _session(self, stop: asyncio.Event) -> None:
        topics = self._post.topics
        if self._seqs is None:
            self._seqs = self._outbox.next_seq(topics.status), self._outbox.next_seq(topics.status)
        hello, goodbye = self._seqs
        # The will and the clean goodbye share a number: only one of them is ever said.
        will = aiomqtt.Will(topics.status, self._post.node_status("offline", goodbye), 1, True)
        login = self._login
        async with ConfirmedClient(
            self._mqtt, self._mqtt.identifier(), login, will=will, hear=self._command
        ) as client:
            self._seqs = None
            login.connects += 1
            told = self._outbox.alarms.lines
            await self._say(client, topics.status, self._post.node_status("online", hello, told))
            await self._say(client, topics.info, self._post.info(self._birth()))
            for topic in (topics.commands, topics.replay):
                await subscribe(client, topic)
            log.info("broker connected", broker=self._mqtt.where, times=self.connects)
            self.online.set()
            listen = asyncio.create_task(client.ended(), name="mqtt-listen")
            drain = asyncio.create_task(self.sender.drain(client, stop), name="mqtt-drain")
            alarms = asyncio.create_task(self._tell_alarms(client, told), name="mqtt-alarms")
            tasks = {listen, drain, alarms}
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                task.result()
            # A clean disconnection says no will.
            await self._say(client, topics.status, self._post.node_status("stopped", goodbye))

    async def _say(self, client: ConfirmedClient, topic: str, payload: bytes) -> None:
        """Publishes a retained state of this connection and waits for the answer."""
        if not fits(payload, client.packet_limit):
            most = client.packet_limit
            log.error(
                "too large for the broker: raise its max_packet_size", topic=topic, max_packet_size=most
            )
            return
        reason = await client.confirm(topic, payload, retain=True, timeout_s=CONFIRM_S)
        if failed(reason):
            log.error("the broker denies a publish: check its access rules", topic=topic, reason=reason)

    async def _tell_alarms(self, client: ConfirmedClient, told: list[str]) -> None:
        """Says the node's status anew whenever its alarms have changed. told: those that were said."""
        alarms, changed = self._outbox.alarms, asyncio.Event()
        loop = asyncio.get_running_loop()

        def heard() -> None:
            loop.call_soon_threadsafe(changed.set)

        alarms.on_change = heard
        status = self._post.topics.status
        try:
            while True:
                if alarms.lines != told:
                    told = alarms.lines
                    payload = self._post.node_status("online", self._outbox.next_seq(status), told)
                    await self._say(client, status, payload)
                await changed.wait()
                changed.clear()
        finally:
            alarms.on_change = lambda: None


def _unheard(why: aiomqtt.MqttError) -> bool:
    """Whether an attempt failed before the broker can have heard of it: nobody listens, or no such host."""
    cause = why.__cause__ or why.__context__
    return isinstance(cause, OSError) and not isinstance(cause, TimeoutError)
