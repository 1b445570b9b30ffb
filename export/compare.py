"""All forms of a model against its float32 weights: the figures from which a quantisation is chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from export.answers import Answers, FusedAnswers, PlainAnswers, TorchAnswers
from export.fidelity import EXACT, QUANTISED, Fidelity, Truth
from export.quantize import METHODS
from export.windows import random_cases, real_cases
from pipeline.bundle import TOKENIZER, Bundle
from pipeline.settings import PipelineSettings
from pipeline.whole import as_json, write_whole
from pipeline.words import Words

FIDELITY = "fidelity.json"
# Windows are drawn until torch has had about this many parameters to compute with: a minute or two.
_WORK = 3e9
_MOST, _FEWEST = 2000, 16
# Forms whose difference from float32 must be rounding alone.
_EXACT = ("plain", "fused")


class Setting(msgspec.Struct, frozen=True):
    """What is asked of the models."""

    labels: tuple[str, ...]
    pipeline: PipelineSettings
    temperature: float

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Setting:
        told = bundle.manifest
        return cls(told.labels, told.pipeline, told.temperature)

    @classmethod
    def of_results(cls, results: Path) -> Setting:
        """results: folder with recipe.json and evaluation.json."""
        recipe = msgspec.json.decode((results / "recipe.json").read_bytes())
        evaluation = msgspec.json.decode((results / "evaluation.json").read_bytes())
        return msgspec.convert({**recipe, "temperature": evaluation["temperature"]}, cls)


def compare(
    setting: Setting,
    trained: Path,
    forms: Mapping[str, Path],
    data: Path | None = None,
    windows: int | None = None,
    *,
    bounded: bool = True,
) -> Iterator[Fidelity]:
    """forms: graphs by name; `plain` is an unfused one. data: folder of eegmat, else windows are random.

    Raises ExportError where `bounded` and a form breaks its bounds.
    """
    torch, words = TorchAnswers(trained, setting.labels), Words(trained / TOKENIZER)
    n = windows or int(np.clip(_WORK / torch.parameters / 10, _FEWEST, _MOST))
    if data is None:
        cases = random_cases(setting.pipeline, min(n, 300))
    else:
        real = list(real_cases(setting.pipeline, data))
        # Evenly over people and labels.
        cases = [real[i] for i in np.linspace(0, len(real) - 1, min(n, len(real))).astype(int)]
    truth = Truth(torch, words, cases, setting.temperature)
    for form, graph in forms.items():
        answers: Answers = (
            PlainAnswers(graph, words, setting.labels)
            if form == "plain"
            else FusedAnswers(graph, words, setting.labels, setting.pipeline, truth.room)
        )
        found = truth.compare(form, answers, graph)
        if bounded:
            found.check(EXACT if form in _EXACT else QUANTISED)
        yield found


def compare_all(trained: Path, graphs: Path, data: Path | None, windows: int | None) -> Iterator[Fidelity]:
    """Every form in the folder; writes `fidelity.json` there. Bounds hold for the exact forms alone."""
    names = {"plain": "model.onnx", "fused": "fused.onnx", **{method: f"{method}.onnx" for method in METHODS}}
    forms = {form: graphs / name for form, name in names.items() if (graphs / name).is_file()}
    rows = []
    for row in compare(Setting.of_results(trained), trained, forms, data, windows, bounded=False):
        if row.form in _EXACT:
            row.check(EXACT)
        rows.append(row)
        yield row
    write_whole(graphs / FIDELITY, as_json(rows))


def fastest(rows: Sequence[Fidelity]) -> str:
    """The quantisation to ship: the fastest that keeps every bound, and whose results are its own."""
    fit = [
        row
        for row in rows
        if row.form in METHODS and not METHODS[row.form].shared_scale and row.broken(QUANTISED) is None
    ]
    return min(fit, key=lambda row: row.window_ms).form if fit else "none"


def table(row: Fidelity | None = None) -> str:
    """A line of the table, or its head."""
    if row is None:
        return (
            f"{'form':<8}{'windows':>14}{'MB':>9}{'ms/window':>11}{'logits':>10}{'greedy':>8}"
            f"{'labels':>9}{'gap':>9}{'macro-F1':>10}"
        )
    kind = f"{row.windows} {'real' if row.real else 'random'}"
    change = "" if row.macro_f1_change is None else f"{row.macro_f1_change:+.4f}"
    return (
        f"{row.form:<8}{kind:>14}{row.mb:>9.2f}{row.window_ms:>11.2f}{row.logits_error:>10.1e}{row.greedy:>8.3f}"
        f"{row.labels_equal:>9.4f}{row.gap_max:>9.4f}{change:>10}"
    )
