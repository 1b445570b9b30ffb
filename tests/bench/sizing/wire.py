"""How many bytes an MQTT 5 message takes on the wire (MQTT 5, 3.3 and 3.4), without TCP."""

from __future__ import annotations

from paho.mqtt.properties import Properties

CONFIRMATION_BYTES = 4
"""A PUBACK with nothing to say but success."""


def publish_bytes(topic: str, payload: bytes, properties: Properties | None = None) -> int:
    """Of a PUBLISH at QoS 1 and its confirmation."""
    told = 1 if properties is None else len(properties.pack())
    body = 2 + len(topic.encode()) + 2 + told + len(payload)
    length = 1 + sum(body >= 1 << bits for bits in (7, 14, 21))
    return 1 + length + body + CONFIRMATION_BYTES
