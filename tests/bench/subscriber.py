"""A monitor as any other: hears the daemon over MQTT 5 and notes when."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


@dataclass(frozen=True, slots=True)
class Heard:
    """One reading. at: UTC seconds.

    age_ms: from the arrival of the window's last sample to here. since_sample_ms: from the time at which that
    sample was taken, so with what the headset and the resampler held back.
    """

    stream: str
    at: float
    age_ms: float
    since_sample_ms: float
    model_ms: float
    abstained: bool


class Subscriber:
    """Listens from its making until `close`, in paho's own thread.

    missed: steps in the sequence numbers, so messages that got lost. health: the newest.
    """

    def __init__(self, port: int, topics: str) -> None:
        self.heard: list[Heard] = []
        self.missed = 0
        self.health: dict[str, Any] | None = None
        self._seq: dict[str, int] = defaultdict(int)
        self._topics = topics
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = lambda *_: self._client.subscribe(self._topics, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        if not self._subscribed.wait(10):
            raise RuntimeError("the broker does not answer")

    def between(self, begin: float, end: float) -> list[Heard]:
        """UTC seconds."""
        return [reading for reading in list(self.heard) if begin <= reading.at < end]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _message(self, client: mqtt.Client, user: object, message: mqtt.MQTTMessage) -> None:
        now = time.time()
        if not message.payload:
            return
        # By the published names alone, as a monitor of somebody else's would.
        told = msgspec.json.decode(message.payload)
        kind = told["schema"].partition("/")[0]
        if kind == "eegcopilot.health":
            self.health = told
        elif kind == "eegcopilot.emotion":
            stream = message.topic.split("/")[-2]
            self.missed += told["seq"] - self._seq[stream] - 1
            self._seq[stream] = told["seq"]
            self.heard.append(
                Heard(
                    stream=stream,
                    at=now,
                    # The message says when it was made, and how long after the arrival that was.
                    age_ms=(now - _utc(told["time"])) * 1e3 + told["latency_ms"]["total"],
                    since_sample_ms=(now - _utc(told["window"]["end"])) * 1e3,
                    model_ms=told["latency_ms"]["label"],
                    abstained=told["abstained"],
                )
            )


def _utc(text: str) -> float:
    """Seconds."""
    return datetime.fromisoformat(text).timestamp()
