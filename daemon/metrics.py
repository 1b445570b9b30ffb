"""`/metrics` for Prometheus: what `health` says on MQTT, as numbers. Off unless [metrics] asks for it.

No label names a person: streams are beds, and subjects are left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

import structlog
from msgspec import structs

from daemon.config import Metrics
from daemon.errors import ConfigError
from daemon.messages import Health, StreamHealth, StreamState

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = structlog.get_logger("metrics")

# The event loop answers at once; where it does not, the scrape fails, and that is the truth.
ANSWER_S = 5.0
STATES: tuple[StreamState, ...] = ("calibrating", "online", "degraded", "stalled", "offline")
_NOW = {"chunks_waiting", "windows_waiting", "rate_nominal", "rate_true"}
_WHAT = {
    "samples": "samples that arrived",
    "lost": "samples known to have gone missing before they arrived",
    "gaps": "breaks within a connection",
    "reconnects": "connections after the first",
    "backward_stamps": "steps back of the headset's time stamps",
    "chunks_waiting": "chunks that wait to be processed",
    "chunks_dropped": "chunks thrown away because the machine was too slow",
    "samples_dropped": "samples thrown away because the machine was too slow",
    "windows": "windows cut",
    "windows_calibrating": "windows that went into a calibration",
    "windows_waiting": "windows that wait to be read",
    "windows_dropped": "windows thrown away because the machine was too slow",
    "windows_stale": "windows skipped unread after a hold-up",
    "labels": "readings with a label",
    "abstained": "readings without one",
    "rate_nominal": "sampling rate that the headset claims, Hz",
    "rate_true": "sampling rate by this machine's clock, Hz",
    "recorded": "samples in recordings on the disk",
    "unrecorded": "samples that the disk did not take",
}
_MQTT = {
    "connects": "connections to the broker",
    "sent": "messages confirmed by the broker",
    "replayed": "messages sent again because somebody asked",
    "commands_obeyed": "commands obeyed",
    "commands_refused": "commands refused",
    "commands_unanswered": "commands refused without an answer",
}


class MetricsServer:
    """Serves while it is entered. A context manager: leaving it closes the port."""

    def __init__(self, settings: Metrics, health: Callable[[], Health], broker: Callable[[], bool]) -> None:
        """health, broker: asked in the event loop at each scrape; broker: whether it is connected."""
        self._settings = settings
        self._health = health
        self._broker = broker
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> MetricsServer:
        """Raises ConfigError where the port is taken or the package is missing."""
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError:
            raise ConfigError(
                "metrics.enabled: prometheus-client is not installed: pip install prometheus-client"
            ) from None
        registry = CollectorRegistry()
        registry.register(self)
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            self._server, self._thread = start_http_server(self._settings.port, self._settings.host, registry)
        except OSError as why:
            raise ConfigError(f"metrics.port: {where} cannot be served: {why.strerror or why}") from None
        log.info("metrics served", at=f"http://{where}/metrics")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def describe(self) -> list[Metric]:
        """Registering asks for nothing: there is no health yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """In the server's thread, at each scrape."""
        answer = asyncio.run_coroutine_threadsafe(self._ask(), self._loop)
        health, connected = answer.result(ANSWER_S)
        yield from _node(health, connected)
        yield from _streams(health.streams)

    async def _ask(self) -> tuple[Health, bool]:
        return self._health(), self._broker()


def _node(health: Health, connected: bool) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    yield GaugeMetricFamily("eegcopilot_uptime_seconds", "since the daemon's start", health.uptime_s)
    yield GaugeMetricFamily(
        "eegcopilot_resident_memory_bytes", "resident memory", round(health.rss_mib * 2**20)
    )
    yield GaugeMetricFamily("eegcopilot_broker_connected", "1 while the broker is connected", int(connected))
    waiting = ("waiting", "refused", "in_memory")
    for state in waiting:
        yield GaugeMetricFamily(
            f"eegcopilot_outbox_{state}", f"messages in the outbox, {state}", health.outbox.get(state, 0)
        )
    yield GaugeMetricFamily(
        "eegcopilot_outbox_bytes", "of the outbox's file", health.outbox.get("kib", 0) * 1024
    )
    gone = CounterMetricFamily("eegcopilot_outbox_gone", "messages that were given up", labels=["why"])
    for why, count in health.outbox.items():
        if why not in (*waiting, "kib"):
            gone.add_metric([why], count)
    yield gone
    for name, what in _MQTT.items():
        yield CounterMetricFamily(f"eegcopilot_mqtt_{name}", what, health.mqtt.get(name, 0))
    pool = CounterMetricFamily(
        "eegcopilot_pool", "windows asked of a pool of readers, by what became of them", labels=["what"]
    )
    for key, count in health.pool.items():
        pool.add_metric([key], count)
    yield pool
    drafts = CounterMetricFamily("eegcopilot_drafts", "drafts by what became of them", labels=["what"])
    for key, count in health.drafts.items():
        drafts.add_metric([key], count)
    yield drafts
    latency = GaugeMetricFamily(
        "eegcopilot_latency_seconds",
        "over the last readings; label: the model's run, total: from a window's last sample to the outbox",
        labels=["stage", "quantile"],
    )
    for stage, found in health.latency_ms.items():
        for quantile, milliseconds in (("0.5", found.p50), ("0.99", found.p99)):
            if milliseconds is not None:
                latency.add_metric([stage, quantile], milliseconds / 1e3)
    yield latency


def _streams(streams: dict[str, StreamHealth]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    state = GaugeMetricFamily(
        "eegcopilot_stream_state", "1 for the present state", labels=["stream", "state"]
    )
    for name, one in streams.items():
        for possible in STATES:
            state.add_metric([name, possible], int(one.state == possible))
    yield state
    for field, what in _WHAT.items():
        kind = GaugeMetricFamily if field in _NOW else CounterMetricFamily
        family = kind(f"eegcopilot_stream_{field}", what, labels=["stream"])
        for name, one in streams.items():
            value = structs.asdict(one)[field]
            if value is not None:
                family.add_metric([name], value)
        yield family
