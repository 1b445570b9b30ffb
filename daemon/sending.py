"""Carries what waits in the outbox over one connection after the other, oldest first."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from daemon.confirmed import fits
from daemon.messages import as_replay
from daemon.outbox import Keep, Outbox, Row
from daemon.reasons import TOO_LARGE, UNSPECIFIED, failed

log = structlog.get_logger("publisher")

WINDOW = 32  # publishes under way without an answer: hides the round trip, bounds what is sent twice
CONFIRM_S = 20.0  # a broker that is connected and silent for this long is as good as gone
FAREWELL_S = 5.0  # for what is still waiting when the daemon stops; the rest goes at the next start
PROBE_S = 5.0  # how often one message that was refused may be offered again
# Some brokers hang up on a message instead of refusing it. After so many connections in a row that broke
# soon, messages go one by one, so that the one under way is known; one that was alone under way when so many
# of them broke is kept apart, like a refused one. That others were confirmed before acquits it of nothing.
_ALONE, _GUILTY = 2, 2
_SOON_S = 30.0


class Client(Protocol):
    """See `ConfirmedClient`."""

    @property
    def packet_limit(self) -> int | None: ...

    @property
    def receive_maximum(self) -> int: ...

    def send(
        self, topic: str, payload: bytes, qos: int, retain: bool, properties: Properties | None = None
    ) -> asyncio.Future[int]: ...


class Sender:
    """sent: confirmed by the broker since the start; again: those of them that somebody asked for anew."""

    def __init__(self, outbox: Outbox) -> None:
        self.sent = self.again = 0
        self._outbox = outbox
        self._soon = 0
        self._suspect: int | None = None
        self._broken = 0
        self._refused: set[str] = set()

    async def drain(self, client: Client, stop: asyncio.Event) -> None:
        """Sends what waits; returns once stopping and nothing is left, or time is up.

        Raises aiomqtt.MqttError where the connection is gone or the broker does not confirm.
        """
        # One of what the broker bears is left for the node's own status.
        flight = _Flight(max(1, min(WINDOW, client.receive_maximum - 1)))
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
                if len(flight.rows) < self._window(flight):
                    waits.add(changed)
                if not stop.is_set():
                    waits.add(stopping)
                done, _ = await asyncio.wait(
                    waits, timeout=FAREWELL_S if deadline else PROBE_S, return_when=asyncio.FIRST_COMPLETED
                )
                for answer in [one for one in flight.rows if one in done]:
                    self._settle(flight, flight.take(answer), answer.result())
                if flight.silent_s > CONFIRM_S and not deadline:
                    flight.hung = True  # which no message is to blame for
                    raise aiomqtt.MqttError("the broker does not confirm what it is sent")
        finally:
            changed.cancel()
            stopping.cancel()
            for answer in list(flight.rows):
                # What was confirmed in the connection's last moment need not go twice.
                if not answer.cancel() and not answer.cancelled():
                    self._settle(flight, flight.take(answer), answer.result())
            if not stop.is_set():
                self._blame(flight)

    def _window(self, flight: _Flight) -> int:
        return 1 if self._soon >= _ALONE and flight.age_s < _SOON_S else flight.most

    def _due(self, flight: _Flight, stopping: bool) -> list[Row]:
        """What goes now: what waits, then one that was refused, then what is asked for anew."""
        room = self._window(flight) - len(flight.rows)
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
        if not fits(row.payload, client.packet_limit):
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
        if row.id == self._suspect:
            self._suspect, self._broken = None, 0
        if not failed(reason):
            self.sent += 1
            self.again += row.again
            self._refused.discard(row.topic)
        elif row.topic not in self._refused:
            # Once a topic: there may be one every second.
            self._refused.add(row.topic)
            log.error("the broker refuses a message, kept apart", topic=row.topic, row=row.id, reason=reason)

    def _blame(self, flight: _Flight) -> None:
        """After a connection that broke: which message did the broker hang up on, if on any?"""
        rows = list(flight.rows.values())
        alone = self._window(flight) == 1
        self._soon = (self._soon if flight.age_s < _SOON_S else 0) + 1 if rows and not flight.hung else 0
        if flight.hung:
            return
        for row in rows:
            if row.id == flight.probe:  # it was refused before: its next offer can wait
                self._outbox.settle(row.id, UNSPECIFIED)
                return
        if not alone or not rows:
            return
        (row,) = rows
        self._broken = self._broken + 1 if row.id == self._suspect else 1
        self._suspect = row.id
        if self._broken >= _GUILTY:
            log.error("the broker hangs up on a message, kept apart", topic=row.topic, row=row.id)
            self._outbox.settle(row.id, UNSPECIFIED)
            self._suspect, self._broken, self._soon = None, 0, 0


class _Flight:
    """One connection's messages that are not confirmed yet, in order, `most` at a time. last: the newest row
    sent."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.rows: dict[asyncio.Future[int], Row] = {}
        self.last = 0
        self.probe: int | None = None
        self.next_probe = 0.0
        self.hung = False
        self._begun = self._heard = time.monotonic()

    @property
    def age_s(self) -> float:
        """Of the connection, seconds."""
        return time.monotonic() - self._begun

    @property
    def silent_s(self) -> float:
        """How long the broker has owed an answer, seconds. To QoS 0 it owes none."""
        return time.monotonic() - self._heard if self._owed() else 0.0

    def add(self, answer: asyncio.Future[int], row: Row) -> None:
        if not self._owed():
            self._heard = time.monotonic()
        self.rows[answer] = row

    def take(self, answer: asyncio.Future[int]) -> Row:
        row = self.rows.pop(answer)
        if row.qos:
            self._heard = time.monotonic()
        return row

    def _owed(self) -> bool:
        return any(row.qos for row in self.rows.values())


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
