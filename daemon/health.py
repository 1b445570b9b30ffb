"""How the daemon is doing, as a message."""

from __future__ import annotations

import time
from collections.abc import Mapping

from daemon.commands import Commands
from daemon.drafting import Drafting
from daemon.fleet.pool import Pool
from daemon.latency import Latencies
from daemon.memory import rss_mib
from daemon.messages import Health
from daemon.outbox import Outbox
from daemon.publisher import Publisher
from daemon.stream import Stream


class Checkup:
    """Asks every part; keeps nothing."""

    def __init__(
        self,
        streams: Mapping[str, Stream],
        outbox: Outbox,
        publisher: Publisher,
        commands: Commands,
        latencies: Latencies,
        drafting: Drafting | None = None,
        pool: Pool | None = None,
    ) -> None:
        self._began = time.monotonic()
        self._streams = streams
        self._outbox = outbox
        self._publisher = publisher
        self._commands = commands
        self._latencies = latencies
        self._drafting = drafting
        self._pool = pool

    def health(self) -> Health:
        return Health(
            uptime_s=round(time.monotonic() - self._began, 1),
            rss_mib=round(rss_mib(), 1),
            latency_ms=self._latencies.percentiles(),
            outbox=self._outbox.counts(),
            mqtt={
                "connects": self._publisher.connects,
                "sent": self._publisher.sender.sent,
                "replayed": self._publisher.sender.again,
                "commands_obeyed": self._commands.obeyed,
                "commands_refused": self._commands.refused,
                "commands_unanswered": self._commands.unanswered,
            },
            streams={name: stream.health() for name, stream in self._streams.items()},
            alarms=self._outbox.alarms.lines,
            drafts={} if self._drafting is None else self._drafting.counts(),
            pool={} if self._pool is None else self._pool.counts(),
        )
