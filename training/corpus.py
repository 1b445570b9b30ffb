"""Recordings to labelled windows, through the very chain of the daemon, kept on disk.

corpus/Subject01.npz, …    one file a sitting
corpus/corpus.json         what it was made of and under which settings
corpus/montages/NAME/…     the same people as a smaller headset would give them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.records import CompressedWindow
from pipeline.settings import PipelineSettings
from training.corpora.finding import sittings
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


def make_corpus(
    recipe: Recipe,
    data: Path,
    folder: Path,
    *,
    montage: str = "",
    jobs: int = 0,
    progress: bool = True,
) -> Corpus:
    """Plays every sitting once and keeps its examples in `folder`; what is there and whole is not made again.

    data: folder of the recordings. montage: one of the recipe's, for a corpus as that headset would give it.
    jobs: worker processes, 0 for one a core. The same bytes come out however many work and however often they
    were stopped. Raises CorpusError, one line.
    """
    raise NotImplementedError


def load_corpus(folder: Path, recipe: Recipe | None = None, *, montage: str = "") -> Corpus:
    """A whole corpus from disk. recipe: refuses one that was made under other settings.

    Raises CorpusError, one line, where it is missing, unfinished or damaged.
    """
    raise NotImplementedError


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
