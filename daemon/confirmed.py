"""An MQTT client that tells what the broker answered to each publish."""

from __future__ import annotations

import asyncio
import socket
import ssl
from types import TracebackType
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from daemon.config import Mqtt
from daemon.config_errors import one_line
from daemon.errors import ConfigError

# What we are willing to be sent: commands are small, and whoever sends more means no good.
MAX_PACKET_BYTES = 16384
MAX_COMMANDS_QUEUED = 1024


class ConfirmedClient(aiomqtt.Client):
    """aiomqtt's client throws the reason code of a PUBACK away, so that a publish which an ACL denied
    looks like a success. This one hands it out."""

    def __init__(self, mqtt: Mqtt, password: str | None, tls: ssl.SSLContext | None, will: aiomqtt.Will):
        connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        connect.MaximumPacketSize = MAX_PACKET_BYTES
        super().__init__(
            mqtt.host,
            mqtt.port,
            username=mqtt.username,
            password=password,
            # Always the same: at a reconnection the broker then ends our former connection, and says
            # its will, before we say that we are online; and two daemons of one name are noticed.
            identifier=f"eegcopilot-{mqtt.site}-{mqtt.node}",
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            will=will,
            keepalive=mqtt.keepalive,
            max_queued_incoming_messages=MAX_COMMANDS_QUEUED,
            properties=connect,
            tls_context=tls,
            timeout=10,
            # Several small messages follow each other: Nagle's algorithm would hold the second one, the
            # label, back until the broker's delayed acknowledgement of the first, 40 ms later.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self._unconfirmed: dict[int, asyncio.Future[int]] = {}

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

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves cleanly; in an emergency, such as an error elsewhere in the daemon, so that the broker
        says our will: a plain disconnection would leave us `online` for ever."""
        if kind is not None and not self._disconnected.done():
            with_will = ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")
            self._client.disconnect(reasoncode=with_will)
        await super().__aexit__(kind, exc, trace)

    def _on_publish(
        self, client: paho.Client, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        answer = self._unconfirmed.pop(mid, None)
        if answer is not None and not answer.done():
            answer.set_result(int(reason_code.value))
        super()._on_publish(client, userdata, mid, reason_code, properties)


def tls_context(mqtt: Mqtt) -> ssl.SSLContext | None:
    """None for a plain connection. Raises ConfigError for certificates that cannot be used."""
    if not mqtt.encrypted:
        return None
    try:
        context = ssl.create_default_context(cafile=mqtt.ca_file)
        if mqtt.cert_file is not None:
            context.load_cert_chain(mqtt.cert_file, mqtt.key_file)
    except (OSError, ssl.SSLError) as why:
        raise ConfigError(f"mqtt: certificate files cannot be used: {one_line(str(why))}") from None
    return context
