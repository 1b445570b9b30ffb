"""Simulated beds for the monitor: what nodes would publish, without the nodes."""

from __future__ import annotations

import threading
import time

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from daemon.messages import (
    Emotion,
    Latency,
    Message,
    ModelRef,
    NodeStatus,
    Quality,
    StreamStatus,
    WindowSpan,
    encode,
    iso,
    stamped,
)

_NODES = 10
PUBLISHED_MS = 9.0


def publish(port: int, beds: int, stop: threading.Event) -> None:
    """Until `stop`: a reading a second from each bed, spread over the second as real ones would be."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", port)
    client.loop_start()
    root = "eegcopilot/v1/load"
    for n in range(_NODES):
        client.publish(f"{root}/n{n}/status", _json(NodeStatus(state="online"), 1), 1, True)
    begun, seq = time.time(), 0
    while not stop.is_set():
        seq += 1
        for n in range(beds):
            if stop.wait(max(0.0, begun + seq + n / beds - time.time())):
                break
            topic = f"{root}/n{n % _NODES}/bed-{n:03d}"
            if seq % 30 == 1:
                status = StreamStatus(
                    state="online", since=iso(begun), detail="", subject=f"pseudo-{n}", calibration=None
                )
                client.publish(f"{topic}/status", _json(status, seq), 1, True)
                client.publish(f"{topic}/quality", _json(Quality(score=1.0, channels={}), seq), 0, True)
            client.publish(f"{topic}/emotion", reading(n, seq), 1, True)
    client.loop_stop()
    client.disconnect()


def reading(n: int, seq: int) -> bytes:
    """What a node says of bed n, made now; `PUBLISHED_MS` of its latency are said to lie behind it."""
    now = time.time()
    # Some beds change their state each half minute, so that cards move as they do on a ward.
    stressed = (seq // 30 + n) % 7 == 0
    p = 0.9 if stressed else 0.05 + (seq * 7 + n) % 20 / 100
    message = Emotion(
        subject=f"pseudo-{n}",
        window=WindowSpan(start=iso(now - 10), end=iso(now), gap_pct=0.0, clock_unc_ms=0.4),
        label="stress" if stressed else "calm",
        p={"calm": 1 - p, "stress": p},
        p_smooth={"calm": 1 - p, "stress": p},
        abstained=False,
        reason="",
        quality=1.0,
        latency_ms=Latency(label=5.0, total=PUBLISHED_MS),
        model=ModelRef(id="load", sha256="0" * 64),
    )
    # Its id says when it was published, for the page to compare with.
    told = msgspec.structs.replace(stamped(message, seq, now), id=f"{n}-{round(now * 1e3)}")
    return encode(told)


def _json(message: Message, seq: int) -> bytes:
    return encode(stamped(message, seq, time.time()))
