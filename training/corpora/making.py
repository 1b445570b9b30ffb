"""Sittings to files, several at once; what is there and whole is not made again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path

import msgspec

from pipeline import montage
from pipeline.engine import LOCAL, Engine
from pipeline.whole import write_whole
from training.corpora import manifest, store
from training.corpora.sitting import CorpusError, Sitting
from training.corpora.windows import label_windows
from training.workers import Alone, cores, workers

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class _Piece:
    """key: of the file that is there already, None for none."""

    sitting: Sitting
    key: str | None

    @property
    def name(self) -> str:
        return self.sitting.name


def make_all(
    found: Sequence[Sitting],
    made: manifest.Made,
    folder: Path,
    jobs: int,
    progress: bool,
    engine: Engine = LOCAL,
) -> tuple[manifest.Kept, ...]:
    """One file a sitting in `folder`, in the order of `found`. jobs: worker processes, 0 for one a core.

    This process alone writes the files, whatever becomes of the others. The first sitting that cannot be read
    stops it; those done stay. Raises TrainingError or PipelineError, one line.
    """

    def keep(piece: _Piece, content: bytes | None) -> None:
        if content is not None:
            write_whole(folder / f"{piece.name}.npz", content)

    title = f"corpus {made.recipe}" + (f", {made.montage}" if made.montage else "")
    pieces = [_Piece(sitting, store.key_of(folder / f"{sitting.name}.npz")) for sitting in found]
    jobs = jobs if engine.ray else min(jobs or cores(), len(found))
    alone = jobs == 1 and not engine.ray
    with nullcontext(Alone()) if alone else workers(jobs, engine=engine) as pool:
        work = partial(_make, made=made)
        pool.do(work, pieces, title, "sitting", keep=keep, name=attrgetter("name"), progress=progress)
    return tuple(_kept(sitting, folder) for sitting in found)


def _make(piece: _Piece, made: manifest.Made) -> bytes | None:
    """None where the file that is there was made of the same bytes under the same settings."""
    key = _key(piece.sitting, made)
    return None if piece.key == key else _content(piece.sitting, made, key)


def _kept(sitting: Sitting, folder: Path) -> manifest.Kept:
    path = folder / f"{sitting.name}.npz"
    kept = store.unpack(path, sitting.subject, sitting.person)
    return manifest.Kept(
        name=sitting.name,
        subject=sitting.subject,
        age=sitting.person.age,
        gender=sitting.person.gender,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        told=kept.told,
        notes=kept.notes,
    )


def _content(sitting: Sitting, made: manifest.Made, key: str) -> bytes:
    playlist = sitting.read()
    settings = made.pipeline
    told: Counter[str] = Counter()
    examples = list(label_windows(sitting, playlist, settings, told=told))
    for shift in made.corpus.shifts:
        examples += label_windows(sitting, playlist, settings, shift)
    if not examples:
        fate = ", ".join(f"{count} {name}" for name, count in sorted(told.items())) or "none long enough"
        raise CorpusError(f"{sitting.name}: not one window can be used ({fate}): leave this sitting out")
    for example in examples:
        if example.label not in made.labels:
            raise CorpusError(
                f"{sitting.name}: shows {example.label!r}, which is not among the recipe's labels: "
                f"{', '.join(made.labels)}"
            )
    channels = playlist.recordings[0].channels
    electrodes = [name for _, name in montage.match(channels, settings.montage, settings.min_channels)]
    return store.packed(key, electrodes, examples, told, playlist.notes)


def _key(sitting: Sitting, made: manifest.Made) -> str:
    """sha256 over all that decides the file: settings, the sitting's name and the bytes it is read from."""
    whole = hashlib.sha256(msgspec.json.encode((made, sitting.name)))
    for file in sitting.files:
        part = hashlib.sha256()
        with file.open("rb") as opened:
            while block := opened.read(_BLOCK):
                part.update(block)
        whole.update(part.digest())
    return whole.hexdigest()
