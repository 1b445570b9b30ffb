"""Labels while a draft is being written by a model of 135 M parameters: what the draft adds to their time."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
from msgspec import structs

from daemon.turns import Turns
from pipeline.bundle import Bundle, shipped_bundle
from pipeline.drafts.model_writer import ModelWriter
from pipeline.prompt import Person
from pipeline.reader import Reader
from pipeline.records import CompressedWindow
from tests.bench import weights
from tests.bench.engines import THREADS
from tests.bench.model import FOLDER
from tests.bench.report import Report, Table
from tests.bench.rounds import number, percentile
from tests.bench.windows import random_window
from tests.parts.machine import ChildError

_TITLE = "SmolLM2-135M"
_EVERY_S = 0.25
_LEAD_TOKENS = 1000  # of the facts that a draft is written from
_PERSON = Person(age=41, gender="female")


@dataclass(slots=True)
class _Asked:
    """Milliseconds. waited: until the model was free; whole: until the label was there."""

    waited: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)


def run(report: Report, *, quick: bool) -> None:
    try:
        target = weights.prepare("smollm2", "smollm2", _TITLE, FOLDER / "smollm2")
    except ChildError as error:
        report.miss(f"draft: {_TITLE}", str(error))
        return
    rows = []
    for method in weights.METHODS:
        alone, beside, steps = _measure(_bundle(target, method), 1 if quick else 3, 8 if quick else 20)
        report.figure(f"draft_{method}_delay_ms_max", max(beside.waited))
        report.figure(f"draft_{method}_delay_ms_p50", percentile(beside.waited, 0.5))
        if method == weights.METHODS[0]:
            report.figure("draft_delay_ms_max", max(beside.waited))
        rows.append(
            (
                method,
                number(percentile(alone.whole, 0.5)),
                number(percentile(beside.whole, 0.5)),
                number(percentile(beside.waited, 0.5)),
                number(percentile(beside.waited, 0.99)),
                number(max(beside.waited)),
                str(steps),
            )
        )
    report.tables.append(
        Table(
            f"A label every {_EVERY_S * 1e3:g} ms while {_TITLE} writes drafts from {_LEAD_TOKENS} tokens",
            (
                "form",
                "label alone, ms",
                "beside a draft, ms",
                "wait p50",
                "wait p99",
                "longest wait",
                "steps",
            ),
            rows,
            "Wait: from the asking to the model being free, which is what a draft adds: at most one of its "
            "steps, a token or a part of its prompt. At most 50 ms are wished for.",
        )
    )


def _bundle(target: weights.Target, method: str) -> Bundle:
    """With windows as the shipped bundle has them."""
    found = weights.bundle(target, method)
    settings = Bundle.load(shipped_bundle()).manifest.pipeline
    return Bundle(found.path, structs.replace(found.manifest, pipeline=settings), "")


def _measure(bundle: Bundle, rounds: int, asked: int) -> tuple[_Asked, _Asked, int]:
    """asked: labels a round. Alone and beside a draft take turns. Returns the draft's steps too."""
    reader, turns = Reader(bundle, THREADS), Turns()
    steps = 0

    def turn() -> AbstractContextManager[None]:
        nonlocal steps
        steps += 1
        return turns.writing()

    writer = ModelWriter(reader, turn=turn)
    alone, beside = _Asked(), _Asked()
    windows = [random_window(bundle, np.random.default_rng(n)) for n in range(asked)]
    reader.read([(windows[0], _PERSON)])
    for n in range(rounds):
        _ask(reader, turns, windows, alone)
        stop = threading.Event()
        thread = threading.Thread(target=_write, args=(writer, reader, stop, n))
        thread.start()
        try:
            _ask(reader, turns, windows, beside)
        finally:
            stop.set()
            thread.join()
    return alone, beside, steps


def _write(writer: ModelWriter, reader: Reader, stop: threading.Event, seed: int) -> None:
    """One draft after another, each of other facts: what is known of a prompt is not read again."""
    n = 0
    while not stop.is_set():
        fact = f"draft {seed}-{n}: alpha over the parietal region was below rest"
        times = _LEAD_TOKENS // len(reader.words.ids(f"{fact}\n"))
        writer.compose("", [fact] * times)
        n += 1


def _ask(reader: Reader, turns: Turns, windows: list[CompressedWindow], into: _Asked) -> None:
    due = time.perf_counter()
    for window in windows:
        due += _EVERY_S
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        with turns.reading():
            into.waited.append((time.perf_counter() - began) * 1e3)
            reader.read([(window, _PERSON)])
        into.whole.append((time.perf_counter() - began) * 1e3)
