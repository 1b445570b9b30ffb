"""Many inputs of one kind, through Hypothesis: what fails is made small, and shown."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.kinds import Kind
from tests.fuzz.trial import Figures, attempt


def fuzz(kind: Kind, folder: Path, inputs: int, start: int) -> Figures:
    """At least `inputs` of them, the same ones for the same `start`. folder: for the files that parsers want.

    Raises what a parser raised beside its refusal, HungError, MemoryError.
    """
    figures = Figures()

    # No database, and no replay of earlier failures: each run is its own proof.
    @seed(start)
    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(kind.inputs(folder))
    def one(raw: bytes) -> None:
        attempt(parse, kind.refusal, raw, figures)

    with kind.parser(folder) as parse:
        one()
    return figures
