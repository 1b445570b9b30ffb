"""What a reader of a pool says of itself."""

from __future__ import annotations

import time

from daemon.fleet.held import Counts
from daemon.latency import Latencies
from daemon.memory import rss_mib
from daemon.messages import NodeState, ReaderMessage, encode, iso, stamped
from daemon.mqtt_settings import Mqtt
from daemon.topics import Topics
from pipeline.bundle import Bundle


class Standing:
    """topic: where it is said, retained."""

    def __init__(self, mqtt: Mqtt, bundle: Bundle, counts: Counts, latencies: Latencies) -> None:
        self.topic = f"{Topics(mqtt.site, mqtt.node).base}/reader"
        self._bundle = bundle
        self._counts = counts
        self._latencies = latencies
        self._started = iso(time.time())
        self._seq = 0

    def message(self, state: NodeState, waiting: int) -> bytes:
        """The next message of this topic. waiting: questions held."""
        self._seq += 1
        told = ReaderMessage(
            state=state,
            started=self._started,
            bundle=self._bundle.id,
            sha256=self._bundle.sha256,
            rss_mib=round(rss_mib(), 1),
            latency_ms=self._latencies.percentiles(),
            waiting=waiting,
            counts=self._counts.told(),
        )
        return encode(stamped(told, self._seq, time.time()))
