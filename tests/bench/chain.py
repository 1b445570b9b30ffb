"""The signal chain against MNE-LSL's filters on one stream, and a plain scipy loop on the same chunks."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from daemon.sources.synthetic_eeg import SimulatedHeadset
from pipeline.bundle import Bundle, shipped_bundle
from pipeline.chain import Chain
from pipeline.records import Chunk
from tests.bench.filters import PROGRAMS, ScipyLoop
from tests.bench.node import Headsets
from tests.bench.outlets import PUSH_S, electrodes
from tests.bench.report import Bar, Chart, Report, Table
from tests.bench.rounds import Spread, alternate, number, ratio, spread
from tests.parts.machine import ROOT, ChildError, environment, lsl_settings

_NAMES = {
    "ours": "this project: LSL source and whole chain",
    "mne": "MNE-LSL StreamLSL, its default acquisition (1 ms)",
    "mne-40ms": "MNE-LSL StreamLSL, acquisition every 40 ms",
    "scipy": "pylsl and scipy, filters only",
}
_LIVE = (19, 500.0)
# The chunks alone, without a stream: channels and Hz.
_OFFLINE = ((19, 250.0), (19, 500.0), (64, 500.0), (64, 1000.0))


def run(report: Report, *, quick: bool) -> None:
    _live(report, rounds=2 if quick else 5, seconds=3.0 if quick else 12.0)
    _offline(report, rounds=3 if quick else 9, seconds=10.0 if quick else 60.0)


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
        report.figure(f"chain_cpu_{name.replace('-', '_')}_us", cost)
    for name, key in (("mne", "mne_lsl"), ("mne-40ms", "mne_lsl_40ms"), ("scipy", "pylsl_scipy")):
        if name in found:
            report.figure(f"chain_cpu_vs_{key}", ratio(found["ours"], found[name]))
    report.tables.append(
        Table(
            f"Signal chain on one live LSL stream, {channels} channels at {rate:g} Hz, one process each",
            ("program", "CPU µs a sample and channel", "ours by theirs"),
            rows,
            "All take the samples from LSL and filter 1 to 45 Hz and 50 Hz. Ours also finds gaps, mends, "
            "resamples, judges channels, re-references and cuts windows.",
        )
    )
    report.charts.append(
        Chart(
            f"Live signal chain, {channels} channels at {rate:g} Hz",
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
        chunks = _chunks(channels, rate, seconds)
        programs = {"ours": partial(_chain, chunks), "scipy": partial(_scipy, chunks)}
        found = alternate(programs, rounds)
        against = ratio(found["ours"], found["scipy"])
        report.figure(f"chain_vs_scipy_{channels}ch_{rate:g}hz", against)
        if (channels, rate) == _LIVE:
            report.figure("chain_vs_scipy", against)
        costs = {name: spread([v / channels / rate / seconds * 1e6 for v in found[name]]) for name in found}
        share: Spread = costs["ours"]
        rows.append(
            (
                f"{channels} × {rate:g}",
                str(share),
                str(costs["scipy"]),
                str(against),
                number(1e6 / share.median / channels / rate),
            )
        )
    report.tables.append(
        Table(
            f"Signal chain on chunks of {PUSH_S * 1e3:g} ms in memory",
            ("channels × Hz", "ours, µs", "scipy loop, µs", "ours by scipy", "times real time"),
            rows,
            "µs a sample and channel. The scipy loop does the two filters and nothing else; at 500 Hz and "
            "above ours filters at 250 Hz, after resampling.",
        )
    )


def _chunks(channels: int, rate: float, seconds: float) -> list[Chunk]:
    names = electrodes(channels)
    data = SimulatedHeadset(names, rate).next(round(seconds * rate))
    step = round(PUSH_S * rate)
    return [
        Chunk(
            data=np.ascontiguousarray(data[:, at : at + step]),
            first_sample=at,
            time=at / rate,
            time_uncertainty=0.0,
            arrived=0.0,
            channels=names,
            rate=rate,
            segment=0,
        )
        for at in range(0, data.shape[1], step)
    ]


def _chain(chunks: list[Chunk]) -> float:
    settings = msgspec.structs.replace(
        Bundle.load(shipped_bundle()).manifest.pipeline, montage=chunks[0].channels
    )
    chain = Chain(settings, chunks[0].channels, chunks[0].rate)
    began = time.process_time()
    for chunk in chunks:
        chain.feed(chunk)
    return time.process_time() - began


def _scipy(chunks: list[Chunk]) -> float:
    loop = ScipyLoop(chunks[0].rate)
    began = time.process_time()
    for chunk in chunks:
        loop.feed(chunk.data.astype(np.float64))
    return time.process_time() - began
