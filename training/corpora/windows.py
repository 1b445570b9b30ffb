"""A sitting played through the very chain of the daemon, and the labelled windows that come out."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import msgspec

from pipeline.prompt import Person
from pipeline.records import Calibrating, Chunk, CompressedWindow, Span, Unreadable
from pipeline.session import Session
from pipeline.settings import PipelineSettings
from pipeline.sitting import play
from training.corpora.sitting import CorpusError, Playlist, Sitting, Stretch


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A window, whose it is and what it shows."""

    subject: str
    person: Person
    label: str
    window: CompressedWindow
    trial: str = ""
    """The stretch it was recorded in, unique within the subject: windows of different trials share no
    sample. Empty: it crosses a border, and belongs to no trial."""
    stimulus: str | None = None
    """What was shown, by a name shared between people; None where no stimulus stands behind the label."""
    shifted: bool = False
    """Cut at another time than the daemon would: for training alone, never to be scored on."""
    sitting: str = ""
    """By name: one person's windows of two sittings have two clocks and two calibrations."""


class Moment(NamedTuple):
    """A chunk within one stretch; outside of all stretches label and trial are None."""

    chunk: Chunk
    label: str | None
    trial: str | None
    stimulus: str | None


def play_sitting(sitting: Sitting) -> Iterator[Moment]:
    """The sitting's chunks in order, cut at the borders of its stretches; a chain makes of them the very
    windows that `examples` labels."""
    playlist = sitting.read()
    timeline = Timeline(playlist)
    for played in play(playlist.recordings):
        for chunk, stretch in timeline.cut(played.chunk):
            if stretch is None:
                yield Moment(chunk, None, None, None)
            else:
                yield Moment(chunk, stretch.label, stretch.trial, stretch.stimulus)


def examples(sitting: Sitting, settings: PipelineSettings) -> Iterator[Example]:
    """The labelled windows of a sitting, in time order."""
    yield from label_windows(sitting, sitting.read(), settings)


def label_windows(
    sitting: Sitting,
    playlist: Playlist,
    settings: PipelineSettings,
    shift: float = 0.0,
    told: Counter[str] | None = None,
) -> Iterator[Example]:
    """The labelled windows of a sitting that share no sample with its calibration.

    shift: seconds by which all windows are cut later. told: counts what became of every window.
    A window gets no label where it crosses from one label or stimulus to another.
    """
    told = Counter() if told is None else told
    first = playlist.recordings[0]
    cut = msgspec.structs.replace(settings, warmup=settings.warmup + shift)
    session = Session(cut, first.channels, first.rate, mains=sitting.mains)
    timeline = Timeline(playlist)
    for played in play(playlist.recordings):
        for step in session.feed(played.chunk):
            if isinstance(step, Calibrating):
                # Rest that was no good is made up for from what follows; this has to be seen.
                late = step.seconds > step.of
                told["calibrating_late" if late else "calibrating"] += 1
            elif isinstance(step, Unreadable):
                told["unreadable"] += 1
            elif step.span.start_s < settings.calibration or (place := timeline.at(step.span)) is None:
                told["unlabelled"] += 1
            else:
                told["examples"] += 1
                label, trial, stimulus = place
                yield Example(
                    sitting.subject,
                    sitting.person,
                    label,
                    step,
                    trial,
                    stimulus,
                    shifted=shift > 0,
                    sitting=sitting.name,
                )


class Timeline:
    """A playlist's stretches in the stream's time, which counts one recording after the other."""

    def __init__(self, playlist: Playlist) -> None:
        """Raises CorpusError where stretches overlap: a sample can show one thing only."""
        self._rate = playlist.recordings[0].rate
        begin = [0]
        for recording in playlist.recordings:
            last = recording.segments[-1]
            begin.append(begin[-1] + round(last.start * self._rate) + last.n_samples)
        placed = []
        for stretch in playlist.stretches:
            lo, hi = begin[stretch.recording], begin[stretch.recording + 1]
            start = lo + round(stretch.start * self._rate)
            end = hi if stretch.end == math.inf else min(hi, lo + round(stretch.end * self._rate))
            placed.append((start, end, stretch))
        self._placed = sorted(placed, key=lambda one: one[:2])
        self._starts = [start for start, _, _ in self._placed]
        for (_, end, one), (start, _, two) in pairwise(self._placed):
            if start < end:
                raise CorpusError(f"{one.trial} and {two.trial} overlap in time")

    def at(self, span: Span) -> tuple[str, str, str | None] | None:
        """Label, trial and stimulus of a window; None where it has no single label or stimulus."""
        # A resampler's outputs lie between the stream's samples.
        start, end = round(span.start_s * self._rate), round(span.end_s * self._rate)
        at = bisect_right(self._starts, start) - 1
        if at < 0:
            return None
        _, reached, first = self._placed[at]
        if first.label is None or reached <= start:
            return None
        trial = first.trial
        while reached < end:
            at += 1
            if at == len(self._placed) or self._starts[at] != reached:
                return None
            _, reached, last = self._placed[at]
            if (last.label, last.stimulus) != (first.label, first.stimulus):
                return None
            trial = ""
        return first.label, trial, first.stimulus

    def cut(self, chunk: Chunk) -> Iterator[tuple[Chunk, Stretch | None]]:
        """The chunk in pieces that each lie within one stretch, or within none."""
        first, beyond = chunk.first_sample, chunk.first_sample + chunk.n_samples
        edges = {first, beyond}
        for start, end, _ in self._placed:
            edges |= {edge for edge in (start, end) if first < edge < beyond}
        for lo, hi in pairwise(sorted(edges)):
            at = bisect_right(self._starts, lo) - 1
            inside = at >= 0 and lo < self._placed[at][1]
            piece = replace(
                chunk,
                data=chunk.data[:, lo - first : hi - first],
                first_sample=lo,
                time=chunk.time + (lo - first) / chunk.rate,
            )
            yield piece, self._placed[at][2] if inside else None
