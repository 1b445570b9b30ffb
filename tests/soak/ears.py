"""Who listens: a monitor with a persistent session, and one that comes anew after each broker loss."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

_FOREVER = 0xFFFFFFFF  # of a session's expiry, MQTT 5, 3.1.2.11.2


@dataclass(frozen=True, slots=True)
class Heard:
    """One message as one monitor heard it. at: when; made: when it says it was made; UTC seconds."""

    ear: str
    at: float
    topic: str
    made: float
    retained: bool
    told: dict[str, Any]

    @property
    def seq(self) -> int:
        return int(self.told["seq"])

    @property
    def kind(self) -> str:
        """`emotion`, `quality`, …: the last level of the topic."""
        return self.topic.rpartition("/")[2]

    @property
    def stream(self) -> str:
        return self.topic.split("/")[4]


@dataclass
class Ears:
    """user, password: of the broker. heard: everything, in the order of its coming.

    foreign: payloads that could not be read, of which there should be none.
    """

    port: int
    topics: str
    user: str
    password: str
    heard: list[Heard] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._news = threading.Condition()
        self._steady = self._client("steady", lasting=True)
        self._fresh = self._client("fresh-1", lasting=False)
        self._number = 1

    def again(self) -> None:
        """Another monitor that has never been here takes the second one's place."""
        self._end(self._fresh)
        self._number += 1
        self._fresh = self._client(f"fresh-{self._number}", lasting=False)

    def close(self) -> None:
        self._end(self._steady)
        self._end(self._fresh)

    def wait(self, true: Callable[[Heard], bool], since: int, seconds: float) -> Heard | None:
        """The first message from number `since` on for which it is true; None where none came in time."""
        end = time.monotonic() + seconds
        with self._news:
            while True:
                for at in range(since, len(self.heard)):
                    if true(self.heard[at]):
                        return self.heard[at]
                since = len(self.heard)
                if (left := end - time.monotonic()) <= 0:
                    return None
                self._news.wait(min(left, 1.0))

    def say(self, topic: str, payload: bytes, correlation: bytes) -> None:
        """A command, from the steady monitor."""
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = correlation
        self._steady.publish(topic, payload, qos=1, properties=properties)

    def _client(self, name: str, *, lasting: bool) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, f"ear-{name}", protocol=mqtt.MQTTv5)
        client.username_pw_set(self.user, self.password)
        client.reconnect_delay_set(1, 2)
        client.max_inflight_messages_set(100)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _FOREVER if lasting else 0
        # Subscribed anew at each connection: the broker may have forgotten the session.
        client.on_connect = lambda *_: client.subscribe(self.topics, qos=1)
        client.on_message = lambda _, __, message: self._message(name, message)
        client.connect_async("127.0.0.1", self.port, 10, clean_start=not lasting, properties=properties)
        client.loop_start()
        return client

    @staticmethod
    def _end(client: mqtt.Client) -> None:
        client.disconnect()
        client.loop_stop()

    def _message(self, ear: str, message: mqtt.MQTTMessage) -> None:
        if not message.payload or ("/cmd/" in message.topic and not message.topic.endswith("/response")):
            return
        try:
            told = msgspec.json.decode(message.payload)
            made = datetime.fromisoformat(told["time"]).timestamp()
            heard = Heard(ear, time.time(), message.topic, made, message.retain, told)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as why:
            self.foreign.append(f"{message.topic}: {why}")
            return
        with self._news:
            self.heard.append(heard)
            self._news.notify_all()
