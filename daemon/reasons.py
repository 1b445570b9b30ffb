"""The reason codes that a broker answers with (MQTT 5, 2.4)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from paho.mqtt.reasoncodes import ReasonCode

NO_SUBSCRIBER = 16  # taken, and nobody is there to hear it
UNSPECIFIED = 128
NOT_AUTHORISED = 135
TAKEN_OVER = 142  # another client came under the same name
TOO_LARGE = 149
# Bad user name or password, not authorised, banned, bad authentication method.
LOGIN_REFUSED: Collection[int | None] = {134, NOT_AUTHORISED, 138, 140}


def failed(reason: int) -> bool:
    return reason >= 128


def denied(granted: Iterable[object]) -> bool:
    """Whether the broker denies one of the subscriptions that it answers for."""
    return any(isinstance(code, ReasonCode) and code.is_failure for code in granted)
