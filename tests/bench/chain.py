"""The signal chain against MNE-LSL's filters and a plain scipy loop.

On the same chunks in memory, which is the fair comparison of chains: one cadence, the same filters. And as
whole programs on one live LSL stream, where most of the cost is LSL's own.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.bench.filters import PROGRAMS
from tests.bench.node import Headsets
from tests.bench.outlets import PUSH_S
from tests.bench.report import Bar, Chart, Report, Table
from tests.bench.resident import MissingError, resident
from tests.bench.rounds import alternate, number, ratio, spread
from tests.bench.stages import PROGRAMS as STAGES
from tests.parts.machine import ROOT, ChildError, environment, lsl_settings

_NAMES = {
    "ours": "this project: LSL source and whole chain",
    "mne": "MNE-LSL StreamLSL, its default acquisition (1 ms)",
    "mne-40ms": "MNE-LSL StreamLSL, acquisition every 40 ms",
    "scipy": "pylsl and scipy, filters only",
}
_LIVE = (19, 500.0)
# The chunks alone, without a stream: channels and Hz.
_OFFLINE = ((32, 250.0), (32, 500.0), (19, 500.0), (64, 1000.0))


def run(report: Report, *, quick: bool) -> None:
    _live(report, rounds=2 if quick else 3, seconds=3.0 if quick else 8.0)
    _offline(report, rounds=3 if quick else 7, seconds=10.0 if quick else 30.0)


def _live(report: Report, rounds: int, seconds: float) -> None:
    channels, rate = _LIVE
    with tempfile.TemporaryDirectory(prefix="eeg-copilot-bench-") as temporary:
        folder = Path(temporary)
        lsl_settings(folder)
        # Nobody is waited for: the programs come and go while it plays.
        worn = Headsets(folder, 1, channels, rate, wait=False)
        try:
            worn.line()
            programs = {}
            for name in PROGRAMS:
                told = _listen(folder, name, 0.5)
                if "missing" in told:
                    report.miss(_NAMES[name], f"{told['missing']}: pip install mne-lsl")
                else:
                    programs[name] = partial(_cost, folder, name, seconds, channels)
            found = alternate(programs, rounds)
        finally:
            worn.end()
    costs = {name: spread(values) for name, values in found.items()}
    rows = []
    for name, cost in costs.items():
        against = ratio(found["ours"], found[name])
        rows.append((_NAMES[name], str(cost), "" if name == "ours" else str(against)))
        report.figure(f"live_cpu_{name.replace('-', '_')}_us", cost)
    for name, key in (("mne", "mne_lsl"), ("mne-40ms", "mne_lsl_40ms"), ("scipy", "pylsl_scipy")):
        if name in found:
            report.figure(f"live_cpu_vs_{key}", ratio(found["ours"], found[name]))
    report.tables.append(
        Table(
            f"Whole programs on one live LSL stream, {channels} channels at {rate:g} Hz",
            ("program", "CPU µs a sample and channel", "ours by theirs"),
            rows,
            "All take samples from LSL, which is most of what they cost, and filter 1 to 45 Hz and 50 Hz. "
            "Ours also finds gaps, fits the clock, mends, resamples, judges, re-references and cuts windows.",
        )
    )
    report.charts.append(
        Chart(
            f"Whole programs on a live stream, {channels} channels at {rate:g} Hz",
            "CPU µs a sample and channel, less is better",
            [Bar(_NAMES[name], cost, ours=name == "ours") for name, cost in costs.items()],
        )
    )


def _listen(folder: Path, program: str, seconds: float) -> dict[str, float | str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.filters", program, "--seconds", str(seconds)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(LSLAPICFG=str(folder / "lsl_api.cfg"), MNE_LSL_LOG_LEVEL="ERROR"),
    )
    if done.returncode:
        raise ChildError(f"{program}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    told: dict[str, float | str] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def _cost(folder: Path, program: str, seconds: float, channels: int) -> float:
    """CPU µs a sample and channel."""
    told = _listen(folder, program, seconds)
    samples = float(told["samples"])
    if not samples:
        raise ChildError(f"{program} took no sample")
    return float(told["cpu_s"]) / samples / channels * 1e6


def _offline(report: Report, rounds: int, seconds: float) -> None:
    rows = []
    for channels, rate in _OFFLINE:
        with contextlib.ExitStack() as stack:
            programs = {}
            for name in STAGES:
                words = (name, f"{channels}x{rate:g}x{seconds:g}")
                try:
                    programs[name] = stack.enter_context(resident("tests.bench.stages", *words)).seconds
                except MissingError as error:
                    report.miss(_NAMES[name], f"{error}: pip install mne-lsl")
            found = alternate(programs, rounds)
        costs = {name: spread([v / channels / rate / seconds * 1e6 for v in found[name]]) for name in found}
        ratios = {name: ratio(found["ours"], found[name]) for name in found if name != "ours"}
        for name, key in (("mne", "chain_cpu_vs_mne_lsl"), ("scipy", "chain_cpu_vs_scipy")):
            if name in ratios:
                report.figure(f"{key}_{channels}ch_{rate:g}hz", ratios[name])
                if (channels, rate) == _OFFLINE[0]:
                    report.figure(key, ratios[name])
        rows.append(
            (
                f"{channels} × {rate:g}",
                *(str(costs[name]) if name in costs else "missing" for name in STAGES),
                *(str(ratios[name]) if name in ratios else "missing" for name in ("mne", "scipy")),
                number(1e6 / costs["ours"].median / channels / rate),
            )
        )
    report.tables.append(
        Table(
            f"Signal chain on the same chunks of {PUSH_S * 1e3:g} ms, in memory",
            (
                "channels × Hz",
                "ours, µs",
                "MNE-LSL, µs",
                "scipy loop, µs",
                "ours by MNE-LSL",
                "ours by scipy",
                "times real time",
            ),
            rows,
            "µs a sample and channel. MNE-LSL: its stream's own acquisition and filters, one acquisition a "
            "chunk. It and the scipy loop do the two filters; ours is the whole chain, which filters at 250 "
            "Hz, after resampling, in blocks of half a second.",
        )
    )
