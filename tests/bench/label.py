"""`eeg-copilot label` on a real sitting: how much faster than real time."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline.recordings import open_recording
from tests.bench.report import Report, Table
from tests.bench.rounds import spread
from tests.parts.machine import ROOT, environment

_FILES = ("eegmat/Subject01_1.edf", "eegmat/Subject01_2.edf")


def run(report: Report, *, quick: bool) -> None:
    data = Path(os.environ.get("SHARED_DATA") or ROOT.parent / "shared" / "data").resolve()
    files = [data / name for name in _FILES]
    if not all(file.is_file() for file in files):
        report.miss("label", "no recordings: put PhysioNet's eegmat into ../shared/data, or set SHARED_DATA")
        return
    seconds = sum(open_recording(file).seconds for file in files)
    speeds = spread([seconds / _label(files) for _ in range(1 if quick else 5)])
    report.figure("label_x_realtime", speeds)
    report.tables.append(
        Table(
            "Recordings: `eeg-copilot label`, 19 channels at 500 Hz, program start included",
            ("EEG, s", "times real time"),
            [(f"{seconds:.0f}", str(speeds))],
        )
    )


def _label(files: list[Path]) -> float:
    """Seconds of the whole command."""
    with tempfile.TemporaryDirectory(prefix="eeg-copilot-bench-") as folder:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "daemon", "label", *map(str, files), "--jsonl", f"{folder}/out.jsonl"],
            check=True,
            capture_output=True,
            cwd=ROOT,
            env=environment(),
        )
        return time.perf_counter() - began
