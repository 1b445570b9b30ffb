"""The language model as a reader of windows: probabilities of labels, by scoring each label's tokens.

Nothing is generated: a label's probability is the model's probability of its text after the prompt,
renormalised over the bundle's labels. What does not change from window to window is computed once a person.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from pipeline.bundle import MODEL, TOKENIZER, Bundle, Manifest
from pipeline.decode import CHUNK, Writer
from pipeline.errors import BundleError
from pipeline.model import Model
from pipeline.prompt import Person
from pipeline.records import CompressedWindow, Reading
from pipeline.scoring import LabelScorer, probabilities
from pipeline.words import Words


class Reader:
    """One model, one session. Calls are not to overlap; a worker thread owns it."""

    def __init__(self, bundle: Bundle, threads: int = 2, *, spin: bool = False) -> None:
        """spin: see `Model`.

        Raises BundleError where the model does not load or does not fit the tokenizer.
        """
        self._manifest = bundle.manifest
        self._model = Model(bundle.path / MODEL, threads, spin=spin)
        self._words = Words(bundle.path / TOKENIZER)
        try:
            self._scorer = LabelScorer(
                self._model, self._words, bundle.manifest.labels, bundle.manifest.pipeline
            )
        except BundleError as error:
            raise BundleError(f"{bundle.path}: {error}") from error

    @property
    def words(self) -> Words:
        return self._words

    def writer(self, capacity: int, ends: Sequence[str] = (), chunk: int = CHUNK) -> Writer:
        """A writer on the same session; its steps and `read` may alternate freely."""
        return Writer(self._model, self._words, capacity, ends, chunk)

    def read(self, batch: Sequence[tuple[CompressedWindow, Person]]) -> list[Reading]:
        """One reading a window, in order.

        Each window is a run of its own behind its person's cached prefix, so no reading depends on its
        neighbours. A run for all of them was no faster: the work is arithmetic, not calls.
        """
        return [self._reading(window, person) for window, person in batch]

    def judge(self, window: CompressedWindow, person: Person) -> list[float]:
        """Probability of each label, in the bundle's order. The window's span has no part in it."""
        told = probabilities(self._scorer.scores(window, person), self._manifest.temperature)
        return [float(p) for p in told]

    def _reading(self, window: CompressedWindow, person: Person) -> Reading:
        began = time.perf_counter()
        p = self.judge(window, person)
        return verdict(self._manifest, window, p, time.perf_counter() - began)


def verdict(manifest: Manifest, window: CompressedWindow, p: Sequence[float], infer_s: float) -> Reading:
    """What the probabilities of a window's labels come to, whichever machine found them.

    p: one a label, in the bundle's order. infer_s: what finding them took, seconds.
    """
    told = dict(zip(manifest.labels, p, strict=True))
    best = max(told, key=told.__getitem__)
    unsure = told[best] < manifest.abstain_below
    return Reading(
        label=None if unsure else best,
        p=told,
        p_smooth=told,
        span=window.span,
        quality=window.quality.score,
        reason=f"no label reaches {manifest.abstain_below:g}" if unsure else "",
        infer_s=infer_s,
    )
