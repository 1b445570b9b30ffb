"""Readings go first: a writer never holds the model for more than one step."""

from __future__ import annotations

import threading
import time

from daemon.turns import Turns

STEP_S = 0.01


def test_a_reading_waits_for_one_step_at_most() -> None:
    turns, stop = Turns(), threading.Event()
    steps = 0

    def write() -> None:
        nonlocal steps
        while not stop.is_set():
            with turns.writing():
                steps += 1
                time.sleep(STEP_S)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    waited = []
    for _ in range(30):
        time.sleep(STEP_S / 3)
        began = time.perf_counter()
        with turns.reading():
            waited.append(time.perf_counter() - began)
    stop.set()
    for writer in writers:
        writer.join()
    assert steps > 10
    # A step and the scheduler's grain; without precedence two writers would go on and on.
    assert sorted(waited)[len(waited) // 2] < 2 * STEP_S and max(waited) < 10 * STEP_S


def test_a_failure_gives_the_model_back() -> None:
    turns = Turns()
    for turn in (turns.reading, turns.writing):
        try:
            with turn():
                raise RuntimeError
        except RuntimeError:
            pass
    with turns.reading():
        pass
