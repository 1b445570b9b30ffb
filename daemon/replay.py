"""Plays recordings as an LSL outlet, so that anything that reads a headset can read them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from daemon.outlet import EegOutlet
from daemon.sources.pace import Pacer
from pipeline.errors import RecordingError
from pipeline.recordings import BoardLayout, Recording, open_recording

_BLOCK_S = 0.04  # as wireless headsets send
# Gaps are played as silence, but nobody wants to wait for hours until a recording goes on.
_LONGEST_GAP_S = 10.0


def play(
    files: Sequence[Path | str],
    name: str,
    speed: float = 1.0,
    loop: bool = False,
    stop: threading.Event | None = None,
    wait_s: float = 0.0,
    board: BoardLayout | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> int:
    """Play files in order as one stream; blocks until their end, or until `stop` is set.

    name: of the LSL stream. speed: 1 is real time. wait_s: for a listener, before the first sample.
    board: what a BrainFlow csv's columns mean. say: is told one line a file.
    Returns the number of samples sent.
    Raises RecordingError where a file cannot be read or has other channels than the first.
    """
    if not speed > 0:
        raise ValueError("speed must be above 0: a stream has a rate")
    stop = stop or threading.Event()
    first = open_recording(files[0], board)
    for file in files[1:]:  # all are looked at before anything is played
        other = open_recording(file, board)
        if (other.channels, other.rate) != (first.channels, first.rate):
            raise RecordingError(f"{file}: has other channels or another rate than {files[0]}")
    with EegOutlet(name, first.channels, first.rate, f"eeg-copilot-replay-{name}") as outlet:
        say(f"{name}: {len(first.channels)} channels at {first.rate:g} Hz, waiting for a listener")
        if wait_s:
            outlet.wait(wait_s, stop)
        pacer = Pacer(first.rate * speed)
        while not stop.is_set():
            for file in files:
                recording = open_recording(file, board)
                say(f"{name}: playing {file}, {recording.seconds:.0f} s")
                _play(recording, outlet, pacer, speed, stop)
            if not loop:
                break
        return outlet.samples


def _play(recording: Recording, outlet: EegOutlet, pacer: Pacer, speed: float, stop: threading.Event) -> None:
    block = max(1, int(_BLOCK_S * recording.rate * speed))
    end_s = 0.0
    for segment in recording.segments:
        pacer.pause(min(_LONGEST_GAP_S, max(0.0, segment.start - end_s)) / speed)
        for at in range(0, segment.n_samples, block):
            data = segment.data[:, at : at + block]
            if not pacer.wait(data.shape[1], float("inf"), stop):
                return
            outlet.push(data, pacer.take(data.shape[1]))
        end_s = segment.start + segment.n_samples / recording.rate
