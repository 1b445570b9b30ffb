"""The daemon as it runs: label latency at a subscriber, four headsets at once, cold start, memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench.node import node, stage
from tests.bench.report import Bar, Chart, Report, Table
from tests.bench.rounds import Spread, number, spread
from tests.bench.trial import Trial, trial

_CHANNELS, _RATE = 19, 500.0
_AT_ONCE = 4


def run(report: Report, *, quick: bool) -> None:
    starts = spread([_cold_start() for _ in range(2 if quick else 7)])
    alone = trial(1, _CHANNELS, _RATE, 6 if quick else 60)
    four = trial(_AT_ONCE, _CHANNELS, _RATE, 8 if quick else 120)
    report.figure("ready_s", starts)
    report.figure("label_p50_ms", four.p50)
    report.figure("label_p99_ms", max(alone.p99, four.p99))
    report.figure("label_since_sample_p99_ms", four.since_sample_p99)
    report.figure("label_alone_p50_ms", alone.p50)
    report.figure("label_alone_p99_ms", alone.p99)
    report.figure("four_headsets_dropped", four.dropped + four.late)
    report.figure("rss_mb", four.peak_mb)
    report.figure("daemon_cores", four.cores)
    report.tables.append(
        Table(
            f"Live: shipped bundle, {_CHANNELS} channels at {_RATE:g} Hz over LSL, a label every 2 s",
            ("headsets", "labels", "p50 ms", "p99 ms", "since sample p99", "dropped", "cores", "peak MB"),
            [_row(alone), _row(four)],
            "From the arrival of a window's last sample to the subscriber; `since sample` counts from when "
            "it was taken, with what the headset (blocks of 40 ms) and the resampler (20 ms) hold back. "
            f"Cold start to READY, broker and model included: {starts} s.",
        )
    )
    report.charts.append(
        Chart(
            "Last sample to label at the subscriber, four headsets",
            "ms, less is better",
            [
                Bar("p50", Spread(four.p50, four.p50, four.p50), ours=True),
                Bar("p99", Spread(four.p99, four.p99, four.p99), ours=True),
            ],
        )
    )


def _row(found: Trial) -> tuple[str, ...]:
    return (
        str(found.count),
        str(found.readings),
        number(found.p50),
        number(found.p99),
        number(found.since_sample_p99),
        str(found.dropped + found.late),
        number(found.cores),
        number(found.peak_mb),
    )


def _cold_start() -> float:
    """Seconds from the process's start to READY, with a broker that answers and no headset yet."""
    with tempfile.TemporaryDirectory(prefix="eeg-copilot-bench-") as temporary:
        folder = Path(temporary)
        with stage(folder) as port, node(folder, port, 1) as running:
            return running.ready_s
