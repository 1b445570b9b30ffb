"""Recordings to labelled windows, through the very chain of the daemon, kept on disk.

corpus/Subject01.npz, …    one file a sitting
corpus/corpus.json         what it was made of and under which settings
corpus/montages/NAME/…     the same people as a smaller headset would give them
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.engine import LOCAL, Engine
from pipeline.prompt import Person
from pipeline.records import CompressedWindow
from pipeline.settings import PipelineSettings
from pipeline.whole import as_json, write_whole
from training.corpora import manifest, store
from training.corpora.finding import sittings
from training.corpora.making import make_all
from training.corpora.sitting import CorpusError, Playlist, Sitting, Stretch
from training.corpora.windows import Example, Moment, examples, play_sitting
from training.recipe import Recipe

__all__ = [
    "Corpus",
    "CorpusError",
    "Example",
    "Moment",
    "Playlist",
    "Sitting",
    "Stretch",
    "examples",
    "load_corpus",
    "make_corpus",
    "play_sitting",
    "sittings",
    "subset",
]

# Names come from tables that others wrote, and become names of files.
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """All examples, sitting by sitting, each in time order.

    recipe: name of the recipe it was made for. settings: of the chain it went through. shifted: the same
    stretches cut at other times, for training alone.
    """

    recipe: str
    labels: tuple[str, ...]
    settings: PipelineSettings
    examples: list[Example]
    shifted: list[Example]
    notes: tuple[str, ...] = ()
    """What had to be left out, one line each."""


def make_corpus(
    recipe: Recipe,
    data: Path,
    folder: Path,
    *,
    montage: str = "",
    jobs: int = 0,
    progress: bool = True,
    engine: Engine = LOCAL,
) -> Corpus:
    """Plays every sitting once and keeps its examples in `folder`; what is there and whole is not made again.

    data: folder of the recordings. montage: one of the recipe's, for a corpus as that headset would give it.
    jobs: worker processes, 0 for one a core. The same bytes come out however many work, on whichever engine,
    and however often they were stopped. Raises TrainingError or PipelineError, one line.
    """
    wanted = manifest.made(recipe, montage)
    folder = place(folder, montage)
    there = manifest.read(folder)
    if there is not None:
        manifest.refuse_other(folder, there.made, wanted)
    found = sittings(recipe, data, progress)
    _check_names(found, data)
    if there is None:
        _write(folder, manifest.Manifest(wanted, whole=False))
    kept = make_all(found, wanted, folder, jobs, progress, engine)
    now = manifest.Manifest(wanted, whole=True, sittings=kept)
    corpus = _load(folder, now)
    _check_classes(corpus, data)
    if now != there:
        _write(folder, now)
    return corpus


def load_corpus(folder: Path, recipe: Recipe | None = None, *, montage: str = "") -> Corpus:
    """A whole corpus from disk. recipe: refuses one that was made under other settings.

    Raises CorpusError, one line, where it is missing, unfinished or damaged.
    """
    wanted = None if recipe is None else manifest.made(recipe, montage)
    folder = place(folder, montage)
    there = manifest.read(folder)
    if there is None:
        raise CorpusError(f"{folder}: no corpus here: make one with `python -m training corpus`")
    if wanted is not None:
        manifest.refuse_other(folder, there.made, wanted)
    if not there.whole:
        raise CorpusError(f"{folder}: not finished: run `python -m training corpus` again, it goes on")
    return _load(folder, there)


def place(folder: Path, montage: str) -> Path:
    """Where in a corpus's folder a montage's own corpus is kept."""
    return folder / "montages" / re.sub(r"[^a-z0-9]+", "-", montage.lower()).strip("-") if montage else folder


def _load(folder: Path, there: manifest.Manifest) -> Corpus:
    examples: list[Example] = []
    shifted: list[Example] = []
    for one in there.sittings:
        path = folder / f"{one.name}.npz"
        kept = store.unpack(path, one.subject, Person(one.age, one.gender))
        if hashlib.sha256(path.read_bytes()).hexdigest() != one.sha256:
            raise CorpusError(f"{path}: changed since it was made: run `python -m training corpus` again")
        examples += kept.examples
        shifted += kept.shifted
    made = there.made
    notes = tuple(f"{one.name}: {note}" for one in there.sittings for note in _notes(one))
    return Corpus(made.recipe, made.labels, made.pipeline, examples, shifted, notes)


def _notes(one: manifest.Kept) -> list[str]:
    told = list(one.notes)
    if late := one.told.get("calibrating_late"):
        told.append(f"rest was too poor to calibrate on: {late} windows after it were used as well")
    if lost := one.told.get("unreadable"):
        told.append(f"{lost} windows had too few good channels")
    return told


def _write(folder: Path, content: manifest.Manifest) -> None:
    write_whole(folder / manifest.NAME, as_json(content))


def _check_names(found: Sequence[Sitting], data: Path) -> None:
    if not found:
        raise CorpusError(f"{data}: no recordings of this kind here")
    for name, count in Counter(sitting.name for sitting in found).items():
        if not _FILE_NAME.fullmatch(name):
            raise CorpusError(f"{data}: a sitting cannot be named {name!r}: use letters, digits, - and _")
        if count > 1:
            raise CorpusError(f"{data}: {count} sittings are named {name}: rename or leave out one of them")


def _check_classes(corpus: Corpus, data: Path) -> None:
    there = {example.label for example in corpus.examples}
    empty = [label for label in corpus.labels if label not in there]
    if empty:
        raise CorpusError(
            f"{data}: not one window shows {', '.join(empty)}: add recordings, or take it out of the recipe"
        )


def subset(example: Example, keep: Sequence[int]) -> CompressedWindow:
    """The example's window with only the rows `keep`."""
    window = example.window
    return CompressedWindow(
        codes=window.codes[list(keep)],
        channels=tuple(window.channels[i] for i in keep),
        method=window.method,
        span=window.span,
        quality=window.quality,
    )
