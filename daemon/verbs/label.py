"""`eeg-copilot label FILE… --jsonl OUT`"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from daemon import bar
from daemon.cli import DONE, NOTICE
from daemon.labelling import Labelled, Labelling
from daemon.verbs.board import layout
from pipeline.bundle import Bundle, bundle_folder
from pipeline.prompt import Person
from pipeline.reader import Reader
from pipeline.recordings import open_recording
from pipeline.whole import whole


def run(options: argparse.Namespace) -> int:
    began = time.perf_counter()
    bundle = Bundle.load(bundle_folder(options.bundle))
    board = layout(options.board)
    recordings = [open_recording(file, board) for file in options.files]
    for recording in recordings:
        for warning in recording.warnings:
            _say(f"{recording.path}: {warning}")
    labelling = Labelling(
        bundle,
        Reader(bundle, options.threads),
        Person(options.age, options.gender),
        mains_hz=options.mains,
        calibration_s=options.calibrate_seconds,
    )
    seconds = sum(recording.seconds for recording in recordings)
    counts: dict[str, int] = {}
    with _out(options.jsonl) as out:
        for labelled in labelling.label(recordings, lambda done: bar.show(done, seconds)):
            out.write(json.dumps(_line(labelled, bundle)).encode() + b"\n")
            word = labelled.reading.label or "abstained"
            counts[word] = counts.get(word, 0) + 1
    took = time.perf_counter() - began
    told = ", ".join(f"{number} {word}" for word, number in sorted(counts.items())) or "no window"
    _say(f"{labelling.calibrating} windows of rest calibrated and have no line; then {told}")
    _say(f"{seconds:.0f} s of EEG in {took:.1f} s: {seconds / took:.0f} times real time")
    _say(NOTICE)
    return DONE


def _line(labelled: Labelled, bundle: Bundle) -> dict[str, object]:
    reading = labelled.reading
    return {
        "file": str(labelled.file),
        "start_s": round(labelled.start_s, 6),
        "end_s": round(labelled.end_s, 6),
        "label": reading.label,
        "p": {label: round(p, 6) for label, p in reading.p.items()},
        "p_smooth": {label: round(p, 6) for label, p in reading.p_smooth.items()},
        "abstained": reading.abstained,
        "reason": reading.reason,
        "quality": round(reading.quality, 4),
        "model": bundle.id,
        "research_use_only": True,
    }


@contextlib.contextmanager
def _out(path: str) -> Iterator[BinaryIO]:
    """`-` is standard output."""
    if path == "-":
        yield sys.stdout.buffer
        return
    with whole(Path(path), parents=False) as out:
        yield out


def _say(line: str) -> None:
    print(line, file=sys.stderr)
