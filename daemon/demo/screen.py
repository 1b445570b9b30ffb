"""Prints what the subscriber hears: colours and a countdown on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from daemon.messages import Calibration, Emotion, StreamStatus, unix

_WIDTH = 20  # characters of a bar
# ANSI colours by the label's place in the bundle: green, red, then what is left.
_COLOURS = (32, 31, 33, 34, 35, 36, 92, 91, 93)
_GREY = 90
_PLAIN_EVERY_S = 5.0


class Screen:
    def __init__(self, labels: Sequence[str]) -> None:
        self._colour_of = {label: _COLOURS[n % len(_COLOURS)] for n, label in enumerate(labels)}
        self._width = max(len("abstained"), *(len(label) for label in labels))
        self._terminal = sys.stdout.isatty()
        self._colours = self._terminal and not os.environ.get("NO_COLOR")
        self.ending = False
        """Set when the demo stops the headset itself."""
        self._begun = False
        self._unfinished = False
        self._plain_at = -_PLAIN_EVERY_S

    def say(self, line: str) -> None:
        """A whole line."""
        self._finish()
        print(line, flush=True)

    def status(self, status: StreamStatus) -> None:
        if status.state == "calibrating" and status.calibration is not None:
            self._begun = True
            self._countdown(status.calibration)
        elif self._begun and not self.ending:  # before and after, everybody knows
            self.say(self._paint(f"{_clock()}  {status.state}  {status.detail}".rstrip(), _GREY))

    def emotion(self, emotion: Emotion, latency_ms: float, doing: str) -> None:
        """latency_ms: from the window's last sample to here. doing: what the person really did, if known."""
        p = emotion.p.get(emotion.label or "", 0.0)
        word = emotion.label or "abstained"
        full = round(p * _WIDTH)
        label = f"{word:<{self._width}} {'█' * full}{'░' * (_WIDTH - full)} {p:4.0%}"
        line = (
            f"{_clock(unix(emotion.window.end))}  "
            f"{self._paint(label, self._colour_of.get(word, _GREY))}  "
            f"quality {emotion.quality:4.0%}  latency {latency_ms:4.0f} ms"
        )
        if emotion.reason:
            line += f"  ({emotion.reason})"
        if doing:
            line += self._paint(f"  simulated person: {doing}", _GREY)
        self.say(line)

    def _countdown(self, calibration: Calibration) -> None:
        left = max(0.0, calibration.of - calibration.seconds)
        line = f"{_clock()}  calibrating on rest, {left:.0f} s to go"
        if self._terminal:
            print(f"\r{line}   ", end="", flush=True)
            self._unfinished = True
        elif calibration.seconds - self._plain_at >= _PLAIN_EVERY_S or calibration.seconds < self._plain_at:
            self._plain_at = calibration.seconds
            print(line, flush=True)

    def _finish(self) -> None:
        if self._unfinished:
            print()
            self._unfinished = False

    def _paint(self, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text


def _clock(utc: float | None = None) -> str:
    return time.strftime("%H:%M:%S", time.localtime(utc))
