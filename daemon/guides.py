"""What drafts and answers may quote: shipped entries and the hospital's documents, by words or meaning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.guidance import Guidance

if TYPE_CHECKING:
    from pipeline.guidance.meaning import Meaning

Progress = Callable[[int, int], None]


def _quiet(done: int, of: int) -> None:
    """Nobody watches."""


def guide(index: Path | None, embedder: Path | None, progress: Progress = _quiet) -> Guidance:
    """index: of the hospital's documents together with the shipped entries; None for the shipped ones.

    embedder: folder of the text embedder, for search by meaning beside words; None for words alone.
    Raises GuidanceError, one line, where either cannot be used.
    """
    guidance = Guidance.shipped() if index is None else Guidance.open(index)
    if embedder is not None:
        try:
            guidance.add_meaning(meaning(guidance, embedder, index, progress))
        except BaseException:
            guidance.close()
            raise
    return guidance


def meaning(
    guidance: Guidance, folder: Path, index: Path | None, progress: Progress, anew: bool = False
) -> Meaning:
    """Vectors beside an index, made with it; those of the shipped entries beside the embedder, made once."""
    # An extra: without it everything else works.
    from pipeline.guidance.embedding import Embedder
    from pipeline.guidance.meaning import Meaning, vectors_beside

    embedder = Embedder(folder)
    path = vectors_beside(index or folder / "entries")
    if anew or not (index or Meaning.fits(path, guidance, embedder)):
        return Meaning.build(guidance, embedder, path, progress)
    return Meaning.open(path, guidance, embedder)
