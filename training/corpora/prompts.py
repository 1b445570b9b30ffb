"""A corpus as text, for those who feed another trainer: one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from pipeline import prompt
from pipeline.whole import whole
from training.answers import answer_text
from training.corpora.windows import Example


class Line(msgspec.Struct, frozen=True):
    """One question with its answer; subject, trial and stimulus say what may be held out together."""

    question: str
    answer: str
    label: str
    subject: str
    trial: str
    stimulus: str | None
    shifted: bool


def write_prompts(examples: Iterable[Example], path: Path) -> int:
    """Number of lines. Raises PipelineError where the file cannot be written."""
    lines = 0
    with whole(path) as out:
        for example in examples:
            line = Line(
                question=prompt.question(example.window, example.person),
                # Each window quotes the next of the entries that fit its label.
                answer=answer_text(example.label, example.window, variant=lines),
                label=example.label,
                subject=example.subject,
                trial=example.trial,
                stimulus=example.stimulus,
                shifted=example.shifted,
            )
            out.write(msgspec.json.encode(line) + b"\n")
            lines += 1
    return lines
