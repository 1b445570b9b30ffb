"""`eeg-copilot label FILE… --jsonl OUT`, `eeg-copilot label FOLDER --jsonl FOLDER`"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from daemon import bar
from daemon.cli import DONE, ENVIRONMENT, FAILED, NOTICE
from daemon.label_folder import Made, Settings, Sitting, Told, begin_folder, label_all, sittings
from daemon.labelling import Labelling, as_line
from daemon.verbs.board import layout
from pipeline.bundle import Bundle, bundle_folder
from pipeline.engine import Engine, engine_of
from pipeline.errors import PipelineError
from pipeline.prompt import Person
from pipeline.reader import Reader
from pipeline.recordings import open_recording
from pipeline.whole import whole, write_whole


def run(options: argparse.Namespace) -> int:
    began = time.perf_counter()
    bundle = Bundle.load(bundle_folder(options.bundle))
    board = layout(options.board)
    folder = next((Path(file) for file in options.files if Path(file).is_dir()), None)
    engine = engine_of(options)
    if folder is not None:
        _check_folder(options)
        made = Made(bundle.id, bundle.sha256, options.mains, options.calibrate_seconds, options.board)
        return _folder(
            options, folder, Settings(made, bundle.path.absolute(), board, options.threads), engine
        )
    if engine.ray:
        raise PipelineError("--engine ray labels a folder of recordings: give one")
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
            out.write(json.dumps(as_line(labelled, bundle)).encode() + b"\n")
            word = labelled.reading.label or "abstained"
            counts[word] = counts.get(word, 0) + 1
    took = time.perf_counter() - began
    _say(f"{labelling.calibrating} windows of rest calibrated and have no line; then {_told(counts)}")
    _say(f"{seconds:.0f} s of EEG in {took:.1f} s: {seconds / took:.0f} times real time")
    _say(NOTICE)
    return DONE


def _check_folder(options: argparse.Namespace) -> None:
    """Raises PipelineError."""
    if len(options.files) > 1:
        raise PipelineError("a folder is labelled by itself: give one folder, or files of one sitting")
    if options.jsonl == "-":
        raise PipelineError("of a folder, --jsonl names a folder too: each sitting gets a file in it")
    if options.age is not None or options.gender is not None:
        raise PipelineError("--age and --gender are one person's, and a folder has many: leave them out")


def _folder(options: argparse.Namespace, folder: Path, settings: Settings, engine: Engine) -> int:
    began = time.perf_counter()
    out = Path(options.jsonl)
    found = sittings(folder, settings.board)
    begin_folder(out, settings.made)
    todo = [sitting for sitting in found if not sitting.done(out)]
    counts: Counter[str] = Counter()
    refused: list[str] = []
    seconds = 0.0
    handled = 0

    def keep(sitting: Sitting, told: Told) -> None:
        nonlocal seconds, handled
        for warning in told.warnings:
            _say(warning)
        if told.refused:
            refused.append(f"{sitting.name}: {told.refused}")
        else:
            write_whole(sitting.out(out), told.lines)
        counts.update(told.counts)
        seconds += told.seconds
        handled += 1
        bar.show(handled, len(todo))

    label_all(todo, settings, keep, engine, ENVIRONMENT)
    took = time.perf_counter() - began
    if len(todo) < len(found):
        _say(f"{len(found) - len(todo)} of {len(found)} sittings were labelled before")
    _say(f"{len(todo) - len(refused)} sittings in {out}: {_told(counts)}")
    _say(f"{seconds:.0f} s of EEG in {took:.1f} s: {seconds / took:.0f} times real time")
    for line in sorted(refused):
        _say(f"not labelled: {line}")
    _say(NOTICE)
    return FAILED if refused else DONE


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {word}" for word, number in sorted(counts.items())) or "no window"


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
