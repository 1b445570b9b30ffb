"""Labels a folder of sittings, here or on a Ray cluster: one file of lines each, and what is there stays.

A recording in the folder is a sitting of its own; a folder in it is one sitting, its recordings in the order
of their names.
"""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from daemon.labelling import Labelling, as_line
from pipeline.bundle import Bundle
from pipeline.cluster import cluster
from pipeline.engine import Engine
from pipeline.errors import BundleError, PipelineError, RecordingError
from pipeline.prompt import Person
from pipeline.reader import Reader
from pipeline.recordings import KINDS, BoardLayout, open_recording
from pipeline.whole import write_whole

NOTE = "labelling.json"


class Made(msgspec.Struct, frozen=True):
    """`labelling.json`: what decides the lines, the recordings apart. mains: Hz; calibration: seconds."""

    bundle: str
    sha256: str
    mains: int
    calibration: float | None
    board: str | None


@dataclass(frozen=True, slots=True)
class Sitting:
    name: str
    files: tuple[Path, ...]

    def out(self, folder: Path) -> Path:
        return folder / f"{self.name}.jsonl"

    def done(self, folder: Path) -> bool:
        """Whether its lines are there, and newer than its recordings."""
        out = self.out(folder)
        return out.is_file() and all(file.stat().st_mtime < out.stat().st_mtime for file in self.files)


@dataclass(frozen=True, slots=True)
class Settings:
    """bundle: folder of it; the same everywhere."""

    made: Made
    bundle: Path
    board: BoardLayout | None
    threads: int


@dataclass(frozen=True, slots=True)
class Told:
    """Of one sitting. counts: windows by label. refused: why it has none, one line; empty otherwise."""

    lines: bytes = b""
    seconds: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    refused: str = ""


def sittings(folder: Path, board: BoardLayout | None) -> list[Sitting]:
    """By name. board: of BrainFlow's csv files, which are passed over without one.

    Raises RecordingError, one line.
    """
    kinds = KINDS if board is None else (*KINDS, ".csv")

    def recordings(place: Path) -> tuple[Path, ...]:
        files = [path for path in place.iterdir() if path.suffix.lower() in kinds and path.is_file()]
        return tuple(sorted(files))

    found = [Sitting(path.stem, (path,)) for path in recordings(folder)]
    places = [path for path in folder.iterdir() if path.is_dir()]
    found += [Sitting(place.name, files) for place in places if (files := recordings(place))]
    if not found:
        raise RecordingError(f"{folder}: no recordings here; known are {' '.join(kinds)}")
    for name, count in Counter(sitting.name for sitting in found).items():
        if count > 1:
            raise RecordingError(f"{folder}: {count} sittings are named {name}: rename one of them")
    return sorted(found, key=lambda sitting: sitting.name)


def begin_folder(out: Path, made: Made) -> None:
    """Raises PipelineError where there are lines of other settings."""
    note = out / NOTE
    try:
        there = msgspec.json.decode(note.read_bytes(), type=Made)
    except FileNotFoundError:
        write_whole(note, msgspec.json.format(msgspec.json.encode(made)) + b"\n")
        return
    except (OSError, msgspec.DecodeError) as why:
        raise PipelineError(
            f"{note}: cannot be read ({why}): remove {out}, or give another --jsonl"
        ) from None
    if there != made:
        raise PipelineError(f"{out}: labelled with another bundle or other options: give another --jsonl")


def label_all(
    todo: Sequence[Sitting],
    settings: Settings,
    keep: Callable[[Sitting, Told], object],
    engine: Engine,
    environment: dict[str, str],
) -> None:
    """keep: called in this process, once for each.

    Raises PipelineError, one line.
    """
    if not engine.ray:
        begin(settings)
        for sitting in todo:
            keep(sitting, label(sitting))
        return
    with (
        cluster(engine.address, 0, environment, begin, settings, cpus=settings.threads) as machines,
        closing(machines.results(label, todo, lambda sitting: sitting.name)) as results,
    ):
        for place, told in results:
            keep(todo[place], told)


_begun: tuple[Settings, Bundle, Reader]


def begin(settings: Settings) -> None:
    """Once in each process. Raises BundleError."""
    global _begun
    bundle = Bundle.load(settings.bundle)
    if bundle.sha256 != settings.made.sha256:
        raise BundleError(f"machine {socket.gethostname()}: {settings.bundle}: another bundle than elsewhere")
    _begun = settings, bundle, Reader(bundle, settings.threads)


def label(sitting: Sitting) -> Told:
    settings, bundle, reader = _begun
    made = settings.made
    try:
        recordings = [open_recording(file, settings.board) for file in sitting.files]
        labelling = Labelling(
            bundle, reader, Person(None, None), mains_hz=made.mains, calibration_s=made.calibration
        )
        lines, counts = [], Counter[str]()
        for labelled in labelling.label(recordings):
            lines.append(json.dumps(as_line(labelled, bundle)).encode() + b"\n")
            counts[labelled.reading.label or "abstained"] += 1
    except PipelineError as why:
        return Told(refused=str(why))
    warnings = tuple(f"{recording.path}: {told}" for recording in recordings for told in recording.warnings)
    return Told(b"".join(lines), sum(recording.seconds for recording in recordings), counts, warnings)
