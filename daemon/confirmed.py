"""An MQTT client that tells what the broker answered to each publish."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from daemon.login import Login
from daemon.mqtt_settings import Reach

# What a node is willing to be sent: commands are small, and whoever sends more means no good.
MAX_PACKET_BYTES = 16384


# Topic, properties and fixed header of a publish, at most.
_FRAME_BYTES = 512


def fits(payload: bytes, packet_limit: int | None) -> bool:
    """Whether a broker takes it: one that is sent too large a packet ends the connection."""
    return packet_limit is None or len(payload) + _FRAME_BYTES <= packet_limit


class _SocketLog(logging.Logger):
    """The one place where paho tells why a socket failed, a TLS alert included. failure: the newest."""

    def __init__(self) -> None:
        super().__init__("mqtt", logging.WARNING)
        self.parent = logging.getLogger()
        self.failure = ""

    def handle(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR and "on socket" in str(record.msg):
            self.failure = record.getMessage()
        else:
            super().handle(record)


class ConfirmedClient(aiomqtt.Client):
    """aiomqtt's client throws the reason code of a PUBACK away, so that a publish which an ACL denied
    looks like a success. This one hands it out."""

    def __init__(
        self,
        reach: Reach,
        identifier: str,
        login: Login,
        *,
        will: aiomqtt.Will | None = None,
        hear: Callable[[aiomqtt.Message], None] | None = None,
        most_bytes: int = MAX_PACKET_BYTES,
        kept_s: int = 0,
        held: int | None = None,
    ):
        """hear: called with each message as it arrives; None leaves them to `messages`. aiomqtt's queue takes
        one message a turn of the event loop and gives one out in several: whoever sends quickly enough
        would have it throw others' commands away.

        most_bytes: of a packet that the broker may send. kept_s: how long it keeps our subscriptions, and
        what they bring, while we are away, seconds. held: what arrives is done only when `done_with` says so,
        and the broker sends no more than so many that are not; None confirms at once.
        """
        connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        connect.MaximumPacketSize = most_bytes
        if kept_s:
            connect.SessionExpiryInterval = kept_s
        if held is not None:
            connect.ReceiveMaximum = held
        self._socket_log = _SocketLog()
        super().__init__(
            reach.host,
            reach.port,
            username=reach.username,
            password=login.password,
            identifier=identifier,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=not kept_s,
            will=will,
            keepalive=reach.keepalive,
            properties=connect,
            tls_context=login.tls,
            # Otherwise paho checks the name itself, whatever the context says.
            tls_insecure=None if login.tls is None else not reach.check_server_name,
            logger=self._socket_log,
            timeout=10,
            # Several small messages follow each other: Nagle's algorithm would hold the second one, the
            # label, back until the broker's delayed acknowledgement of the first, 40 ms later.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self._client.manual_ack_set(held is not None)
        self._unconfirmed: dict[int, asyncio.Future[int]] = {}
        self._hear = hear
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self._packet_limit: int | None = None
        self._receive_maximum = 65535

    @property
    def packet_limit(self) -> int | None:
        """The largest packet that the broker takes, bytes; None where it does not say."""
        return self._packet_limit

    @property
    def receive_maximum(self) -> int:
        """Publishes without an answer that the broker bears (MQTT 5, 3.2.2.3.3); paho does not look at it."""
        return self._receive_maximum

    @property
    def socket_failure(self) -> str:
        """Why the connection failed below MQTT, as the socket said it; empty where it did not."""
        return self._socket_log.failure

    async def ended(self) -> None:
        """Waits for the connection's end. Raises aiomqtt.MqttError, with its code where the broker gave one,
        and whatever `hear` raised."""
        await asyncio.wait({self._disconnected, self._broken}, return_when=asyncio.FIRST_COMPLETED)
        for end in (self._broken, self._disconnected):
            if end.done():
                end.result()
        raise aiomqtt.MqttError("disconnected")

    def send(
        self, topic: str, payload: bytes, qos: int, retain: bool, properties: Properties | None = None
    ) -> asyncio.Future[int]:
        """Publishes at once. The future gives the broker's reason code: below 128 is success.

        QoS 0 is never answered: its future is done when the message is written.
        Raises aiomqtt.MqttError where the connection is gone.
        """
        info = self._client.publish(topic, payload, qos, retain, properties)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise aiomqtt.MqttError(f"cannot publish: {paho.error_string(info.rc)}")
        answer: asyncio.Future[int] = self._loop.create_future()
        if qos == 0:
            answer.set_result(0)
        else:
            self._unconfirmed[info.mid] = answer
        return answer

    async def confirm(
        self,
        topic: str,
        payload: bytes,
        *,
        timeout_s: float,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> int:
        """Publishes at QoS 1 and waits for the broker's reason code.

        Raises aiomqtt.MqttError where the connection ends or the broker stays silent.
        """
        answer = self.send(topic, payload, 1, retain, properties)
        ended = asyncio.create_task(self.ended())
        either: set[asyncio.Future[int] | asyncio.Task[None]] = {answer, ended}
        try:
            # Some brokers hang up on what they deny, as mosquitto 2.0.11 does with max_queued_messages 0:
            # then there will be no answer.
            await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and ended.done():
                ended.result()
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
        if not answer.done():
            raise aiomqtt.MqttError("the broker does not answer")
        return answer.result()

    def done_with(self, message: aiomqtt.Message) -> None:
        """We have done what it asked for: the broker may forget it. Where the connection is gone it has."""
        self._client.ack(message.mid, message.qos)

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves cleanly; in an emergency, such as an error elsewhere in the daemon, so that the broker
        says our will: a plain disconnection would leave us `online` for ever."""
        if kind is not None and not self._disconnected.done():
            with_will = ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")
            self._client.disconnect(reasoncode=with_will)
        await super().__aexit__(kind, exc, trace)

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self._packet_limit = getattr(properties, "MaximumPacketSize", None)
        self._receive_maximum = getattr(properties, "ReceiveMaximum", self._receive_maximum)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        """Under TLS 1.3 a broker refuses a certificate after the handshake: then no CONNACK will come, and
        aiomqtt would wait for it until its timeout."""
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(self.socket_failure or str(reason_code)))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        if self._hear is None:
            super()._on_message(client, userdata, message)
            return
        try:
            self._hear(aiomqtt.Message._from_paho_message(message))
        except Exception as why:
            # paho would log it and go on; `ended` is where it belongs.
            if not self._broken.done():
                self._broken.set_exception(why)

    def _on_publish(
        self, client: paho.Client, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        answer = self._unconfirmed.pop(mid, None)
        if answer is not None and not answer.done():
            answer.set_result(int(reason_code.value))
        super()._on_publish(client, userdata, mid, reason_code, properties)
