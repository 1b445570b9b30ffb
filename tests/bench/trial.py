"""One trial: so many headsets of one shape on one daemon for a while, and what came of it."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.bundle import Bundle, shipped_bundle
from tests.bench.node import Node, headsets, node, stage
from tests.bench.rounds import percentile
from tests.bench.subscriber import Heard
from tests.parts.machine import cpu_s, memory_mb

_LABELS_S = 60.0  # for the first label of every stream: they are found one after the other
_ARRIVE_S = 1.0


@dataclass(frozen=True, slots=True)
class Trial:
    """cores: processor time of the daemon (and of all headsets together) by time. p50, p99, longest: ms.

    dropped: samples or windows that the daemon says it lost or threw away, samples that were sent and not
    received, messages that did not reach the subscriber. late: readings that should have come and did not.
    """

    count: int
    channels: int
    rate: float
    readings: int
    p50: float
    p99: float
    longest: float
    since_sample_p99: float
    model_p50: float
    dropped: int
    late: int
    cores: float
    headset_cores: float
    rss_mb: float
    peak_mb: float
    ready_s: float
    abstained: int

    @property
    def sustained(self) -> bool:
        """Nothing lost, and every label there before the next window ends."""
        return not self.dropped and not self.late and self.p99 <= hop_s() * 1e3


def hop_s() -> float:
    return Bundle.load(shipped_bundle()).manifest.pipeline.hop


def trial(count: int, channels: int, rate: float, seconds: float, *, in_step: bool = False) -> Trial:
    """seconds: how long it is measured, after every stream has its first label.

    in_step: all headsets begin at once, so that all windows end at once.
    """
    with tempfile.TemporaryDirectory(prefix="eeg-copilot-bench-") as temporary:
        folder = Path(temporary)
        with (
            stage(folder) as port,
            headsets(folder, count, channels, rate, in_step=in_step) as worn,
            node(folder, port, count) as running,
        ):
            worn.line()
            reached = _labelled(running, count)
            begin, cpu, worn_cpu = time.time(), cpu_s(running.pid), cpu_s(worn.process.pid)
            time.sleep(seconds)
            end = time.time()
            cpu, worn_cpu = cpu_s(running.pid) - cpu, cpu_s(worn.process.pid) - worn_cpu
            rss = memory_mb(running.pid)
            worn.finish()
            time.sleep(_ARRIVE_S)
            peak = memory_mb(running.pid, "VmHWM")
            running.stop()
            heard = running.subscriber.between(begin, end)
            return _summary(
                running,
                worn.sent,
                heard,
                reached,
                (count, channels, rate, end - begin),
                (cpu, worn_cpu, rss, peak),
            )


def _labelled(running: Node, count: int) -> bool:
    """Waits until every stream has a reading; False where that does not happen."""
    end = time.monotonic() + _LABELS_S
    while time.monotonic() < end:
        if len({reading.stream for reading in list(running.subscriber.heard)}) == count:
            return True
        time.sleep(0.1)
    return False


def _summary(
    running: Node,
    sent: dict[str, int],
    heard: list[Heard],
    reached: bool,
    shape: tuple[int, int, float, float],
    used: tuple[float, float, float, float],
) -> Trial:
    count, channels, rate, seconds = shape
    cpu, worn_cpu, rss, peak = used
    health = running.subscriber.health
    assert health is not None, "the daemon tells its health when it begins and when it ends"
    dropped = running.subscriber.missed
    for name, stream in health["streams"].items():
        dropped += sum(stream[key] for key in ("lost", "gaps", "samples_dropped", "windows_dropped"))
        dropped += abs(sent.get(name, 0) - stream["samples"])
    # A hop may begin just before the measuring does and end just after.
    due = count * (int(seconds / hop_s()) - 1) if reached else count * int(seconds / hop_s())
    nothing = [Heard("", 0.0, float("inf"), float("inf"), float("nan"), False)]
    ages = [reading.age_ms for reading in heard or nothing]
    return Trial(
        count=count,
        channels=channels,
        rate=rate,
        readings=len(heard),
        p50=percentile(ages, 0.5),
        p99=percentile(ages, 0.99),
        longest=max(ages),
        since_sample_p99=percentile([reading.since_sample_ms for reading in heard or nothing], 0.99),
        model_p50=percentile([reading.model_ms for reading in heard or nothing], 0.5),
        dropped=dropped,
        late=max(0, due - len(heard)),
        cores=cpu / seconds,
        headset_cores=worn_cpu / seconds,
        rss_mb=rss,
        peak_mb=peak,
        ready_s=running.ready_s,
        abstained=sum(reading.abstained for reading in heard),
    )
