"""`eeg-copilot draft FILE… --patient CONTEXT --out DIR`"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from daemon.cli import DONE, NOTICE
from daemon.guides import guide
from daemon.labelling import Labelling
from daemon.records import maker
from daemon.verbs.board import layout
from pipeline.bundle import Bundle, bundle_folder
from pipeline.drafts import fhir, pdf, render
from pipeline.drafts.context import PatientContext, read_context
from pipeline.drafts.course import Course
from pipeline.drafts.drafting import Drafter, Order
from pipeline.drafts.gathering import Gatherer
from pipeline.drafts.model_writer import ModelWriter
from pipeline.drafts.record import Draft, encode
from pipeline.episodes import EpisodeTracker
from pipeline.errors import PipelineError
from pipeline.prompt import Person
from pipeline.reader import Reader
from pipeline.recordings import Recording, open_recording
from pipeline.whole import write_whole


def run(options: argparse.Namespace) -> int:
    context = _context(Path(options.patient))
    bundle = Bundle.load(bundle_folder(options.bundle))
    board = layout(options.board)
    recordings, utc = _clocked([open_recording(file, board) for file in options.files], options.start)
    for recording in recordings:
        for warning in recording.warnings:
            print(f"{recording.path}: {warning}", file=sys.stderr)
    reader = Reader(bundle, options.threads)
    rest = options.calibrate_seconds or bundle.manifest.pipeline.calibration
    made_by = maker(bundle, f"recording {', '.join(r.path.name for r in recordings)}", rest, utc=utc)
    index, embedder = (Path(at) if at else None for at in (options.guidance, options.embedder))
    drafter = Drafter(guide(index, embedder), ModelWriter(reader))
    out = Path(options.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise PipelineError(f"{out}: cannot be made: {why.strerror}") from None
    number = 0
    for number, course in enumerate(_courses(bundle, reader, recordings, context, options), 1):
        draft = drafter.draft(Order(course, context, made_by, "recording", time.time()))
        _write(out, number, draft, options)
        print(f"{out / f'draft-{number}.md'}: {course.episode.label}, {len(draft.notes)} notes")
    if not number:
        print("no episode of a stable state: there is nothing to draft", file=sys.stderr)
    print(NOTICE, file=sys.stderr)
    return DONE


def _courses(
    bundle: Bundle,
    reader: Reader,
    recordings: Sequence[Recording],
    context: PatientContext,
    options: argparse.Namespace,
) -> Iterator[Course]:
    labelling = Labelling(
        bundle,
        reader,
        Person(context.age, context.gender),
        mains_hz=options.mains,
        calibration_s=options.calibrate_seconds,
    )
    tracker, gatherer = EpisodeTracker(), Gatherer(bundle.manifest.pipeline.hop)
    for labelled in labelling.label(recordings):
        if labelled.window is not None:
            gatherer.seen(labelled.window)
        yield from gatherer.heard(labelled.reading, tracker.feed(labelled.reading))
    yield from gatherer.told(tracker.close())


def _write(out: Path, number: int, draft: Draft, options: argparse.Namespace) -> None:
    font = Path(options.font) if options.font else None
    facts = {"schema": "eegcopilot.facts/1", "draft": draft.id, "facts": draft.facts}
    files = {
        f"draft-{number}.json": msgspec.json.format(encode(draft), indent=1) + b"\n",
        f"draft-{number}.fhir.json": fhir.dumps(fhir.bundle(draft, options.fhir)).encode(),
        f"draft-{number}.md": render.markdown(draft).encode(),
        f"draft-{number}.html": render.html(draft).encode(),
        f"draft-{number}.pdf": pdf.pdf(draft, font),
        f"facts-{number}.json": msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n",
    }
    for name, content in files.items():
        write_whole(out / name, content)


def _context(path: Path) -> PatientContext:
    try:
        return read_context(path.read_bytes())
    except OSError as why:
        raise PipelineError(f"{path}: cannot be read: {why.strerror}") from None


def _clocked(recordings: list[Recording], start: float | None) -> tuple[list[Recording], bool]:
    """Recordings that all know their UTC start, or none; True for the former. start: of the first, UTC s."""
    if start is None:
        utc = all(recording.start_utc is not None for recording in recordings)
        return (recordings if utc else [replace(one, start_utc=None) for one in recordings]), utc
    clocked, offset = [], 0.0
    for recording in recordings:
        clocked.append(replace(recording, start_utc=start + offset))
        last = recording.segments[-1]
        offset += last.start + last.n_samples / recording.rate
    return clocked, True
