"""Carries what waits in the outbox over one connection after the other, oldest first."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from daemon.messages import as_replay
from daemon.outbox import Keep, Outbox, Row
from daemon.reasons import TOO_LARGE, UNSPECIFIED, failed

log = structlog.get_logger("publisher")

WINDOW = 32  # publishes under way without an answer: hides the round trip, bounds what is sent twice
CONFIRM_S = 20.0  # a broker that is connected and silent for this long is as good as gone
FAREWELL_S = 5.0  # for what is still waiting when the daemon stops; the rest goes at the next start
PROBE_S = 5.0  # how often one message that was refused may be offered again
# Connections that broke with the same message under way, and none confirmed: from then on it goes alone, and
# then it is kept apart like one that was refused, for some brokers hang up instead of refusing.
_ALONE, _GUILTY = 2, 4
# Topic, properties and fixed header of a publish, at most.
_FRAME_BYTES = 512


class Client(Protocol):
    """See `ConfirmedClient`."""

    @property
    def packet_limit(self) -> int | None: ...

    def send(
        self, topic: str, payload: bytes, qos: int, retain: bool, properties: Properties | None = None
    ) -> asyncio.Future[int]: ...


class Sender:
    """sent: confirmed by the broker since the start; again: those of them that somebody asked for anew."""

    def __init__(self, outbox: Outbox) -> None:
        self.sent = self.again = 0
        self._outbox = outbox
        self._suspect: int | None = None
        self._broken = 0
        self._refused: set[str] = set()

    async def drain(self, client: Client, stop: asyncio.Event) -> None:
        """Sends what waits; returns once stopping and nothing is left, or time is up.

        Raises aiomqtt.MqttError where the connection is gone or the broker does not confirm.
        """
        flight = _Flight()
        changed: asyncio.Task[object] = asyncio.create_task(self._outbox.changed.wait())
        stopping: asyncio.Task[object] = asyncio.create_task(stop.wait())
        deadline: float | None = None
        try:
            while True:
                self._outbox.changed.clear()
                for row in self._due(flight, stop.is_set()):
                    self._send(client, flight, row)
                if stop.is_set():
                    deadline = deadline or time.monotonic() + FAREWELL_S
                    if not flight.rows or time.monotonic() > deadline:
                        return
                if changed.done():
                    changed = asyncio.create_task(self._outbox.changed.wait())
                waits: set[asyncio.Future[int] | asyncio.Task[object]] = set(flight.rows)
                if len(flight.rows) < self._window:
                    waits.add(changed)
                if not stop.is_set():
                    waits.add(stopping)
                done, _ = await asyncio.wait(
                    waits, timeout=FAREWELL_S if deadline else PROBE_S, return_when=asyncio.FIRST_COMPLETED
                )
                for answer in [one for one in flight.rows if one in done]:
                    self._settle(flight, flight.take(answer), answer.result())
                if flight.silent_s > CONFIRM_S and not deadline:
                    flight.confirmed = True  # it hangs, which no message is to blame for
                    raise aiomqtt.MqttError("the broker does not confirm what it is sent")
        finally:
            changed.cancel()
            stopping.cancel()
            for answer in flight.rows:
                answer.cancel()
            if not stop.is_set():
                self._blame(flight)

    @property
    def _window(self) -> int:
        return 1 if self._broken >= _ALONE else WINDOW

    def _due(self, flight: _Flight, stopping: bool) -> list[Row]:
        """What goes now: what waits, then one that was refused, then what is asked for anew."""
        room = self._window - len(flight.rows)
        rows = self._outbox.waiting(flight.last, room) if room > 0 else []
        if rows:
            flight.last = rows[-1].id
        if stopping or len(rows) >= room:
            return rows
        if flight.probe is None and time.monotonic() >= flight.next_probe:
            refused = self._outbox.refused()
            if refused is not None:
                flight.probe = refused.id
                rows.append(refused)
        return rows + self._outbox.again(room - len(rows), {row.id for row in flight.rows.values()})

    def _send(self, client: Client, flight: _Flight, row: Row) -> None:
        limit = client.packet_limit
        if limit is not None and len(row.payload) + _FRAME_BYTES > limit:
            # It would end the connection, and be the first on the next one.
            self._settle(flight, row, TOO_LARGE)
            return
        payload = as_replay(row.payload) if row.again else row.payload
        retain, properties = _delivery(row, self._outbox)
        flight.add(client.send(row.topic, payload, row.qos, retain, properties), row)

    def _settle(self, flight: _Flight, row: Row, reason: int) -> None:
        self._outbox.settle(row.id, reason)
        if flight.probe == row.id:
            flight.probe = None
            # One that went through means that somebody has mended it: then the others need not wait.
            flight.next_probe = time.monotonic() + PROBE_S if failed(reason) else 0.0
        if not failed(reason):
            self.sent += 1
            self.again += row.again
            self._refused.discard(row.topic)
        elif row.topic not in self._refused:
            # Once a topic: there may be one every second.
            self._refused.add(row.topic)
            log.error("the broker refuses a message, kept apart", topic=row.topic, row=row.id, reason=reason)

    def _blame(self, flight: _Flight) -> None:
        """After a connection that broke: was it always the same message that was under way?"""
        first = next(iter(flight.rows.values()), None)
        if first is None or flight.confirmed:
            self._suspect, self._broken = None, 0
            return
        self._broken = self._broken + 1 if first.id == self._suspect else 1
        self._suspect = first.id
        if self._broken >= _GUILTY:
            log.error("the broker hangs up on a message, kept apart", topic=first.topic, row=first.id)
            self._outbox.settle(first.id, UNSPECIFIED)
            self._suspect, self._broken = None, 0


class _Flight:
    """One connection's messages that are not confirmed yet, in order. last: the newest row sent."""

    def __init__(self) -> None:
        self.rows: dict[asyncio.Future[int], Row] = {}
        self.last = 0
        self.probe: int | None = None
        self.next_probe = 0.0
        self.confirmed = False
        self._heard = 0.0

    @property
    def silent_s(self) -> float:
        """How long the broker has owed an answer, seconds."""
        return time.monotonic() - self._heard if self.rows else 0.0

    def add(self, answer: asyncio.Future[int], row: Row) -> None:
        if not self.rows:
            self._heard = time.monotonic()
        self.rows[answer] = row

    def take(self, answer: asyncio.Future[int]) -> Row:
        self._heard = time.monotonic()
        self.confirmed = True
        return self.rows.pop(answer)


def _delivery(row: Row, outbox: Outbox) -> tuple[bool, Properties | None]:
    """Whether to retain the row, and its MQTT properties, as of now."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if row.again:
        return False, properties  # history, whatever it was
    # What was refused and goes late must not take the place of what went after it.
    retain = row.retain and (not row.tries or outbox.is_present(row))
    if row.correlation is not None:
        properties.CorrelationData = row.correlation
    if row.expiry_s is not None:
        left = row.created + row.expiry_s - time.time()
        if left > 0 or row.keep != Keep.WHILE_ROOM:
            properties.MessageExpiryInterval = max(1, round(left))
        else:
            # Late, after an outage: still worth a record, no longer the present state.
            retain = False
    return retain, properties
