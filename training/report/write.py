"""REPORT.md: the tables, each with what was held out, beside the paper's where it has one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from training.evaluation.settings import Budget
from training.evaluation.summary import Figures
from training.evaluation.systems import TOLD
from training.evaluation.tables import LEAKY, interval, markdown, protocol, told
from training.evaluation.variants import AS_RECORDED, Variant
from training.report import literature
from training.report.record import Asked, Report, Step

_DASH = "–"


def report_text(report: Report, variants: Sequence[Variant], pictures: dict[str, str]) -> str:
    """Markdown. pictures: file names by what they show; those that were not drawn are left out."""
    return "\n".join(_lines(report, {variant.name: variant for variant in variants}, pictures))


def _lines(report: Report, variants: dict[str, Variant], pictures: dict[str, str]) -> Iterator[str]:
    yield f"# Report: {report.recipe}{' (quick run)' if report.quick else ''}\n"
    yield (
        "**Research use only. Not a medical device.** Every figure is on data that was held out as its "
        f"protocol says. {report.people} people, {report.windows} windows, labels: "
        f"{', '.join(report.labels)}. Brackets: 95 % of bootstrap resamples of people.\n"
    )
    yield "## What follows from the figures\n"
    yield from (f"- {sentence}" for sentence in report.discussion)
    yield "\n## Checks\n"
    yield (
        "```\n" + "\n".join(check.line() for check in report.checks) + "\n```\n"
        if report.checks
        else "None ran.\n"
    )
    yield from _protocols(report, pictures)
    yield from _ablations(report, variants)
    yield from _pairs(report)
    yield from _table_1(report, pictures)
    yield from _table_2(report)
    yield from _clusters(report)
    yield "## Not run, or not possible here\n"
    yield from (f"- {one.what}: {one.why}" for one in report.missing)
    yield "\n## Response times\n"
    yield (
        "Median of single answers, from a window's features on, one thread, other processes of this "
        f"evaluation beside it: {report.timing.machine}.\n"
    )
    timed = sorted(key for key in report.timing.answers if f"/{AS_RECORDED}/" in key)
    yield markdown(
        ("protocol / system", "ms an answer"),
        [
            (
                key.replace(f"{AS_RECORDED}/", "").replace("random-window", f"random-window ({LEAKY})"),
                f"{report.timing.answers[key] * 1000:.2f}",
            )
            for key in timed
        ],
    )


def _protocols(report: Report, pictures: dict[str, str]) -> Iterator[str]:
    yield "## Protocols and systems\n"
    plain = [one for one in report.figures if one.variant == AS_RECORDED]
    for name in dict.fromkeys(one.protocol for one in plain):
        some = [one for one in plain if one.protocol == name]
        first = some[0]
        yield f"### {protocol(first)}\n"
        size = f"{first.folds} folds, {first.people} people, {first.windows} windows"
        yield f"{told(first.protocol)}. {size}.\n"
        yield markdown(_HEAD, [_row(one) for one in some])
    yield from (
        f"- {system}: {told.told}" for system, told in TOLD.items() if system in {o.system for o in plain}
    )
    yield ""
    for what in ("protocols", "confusion", "reliability", "people"):
        if what in pictures:
            yield f"![{what}]({pictures[what]})\n"


_HEAD = (
    "system", "macro-F1", "accuracy", "kappa", "calibration error", "30 s: macro-F1", "less SVM on codes",
    "30 s: less SVM", "worst person", "shortened",
)  # fmt: skip


def _row(one: Figures) -> tuple[str, ...]:
    long = one.stretch
    return (
        one.system,
        interval(one),
        f"{one.scores.accuracy:.3f}",
        f"{one.scores.kappa:.3f}",
        f"{one.calibration_error:.3f} (untempered {one.calibration_error_untempered:.3f})",
        f"{long.macro_f1:.3f} [{long.low:.3f}, {long.high:.3f}]" if long else _DASH,
        _gain(one.minus_svm),
        _gain(one.minus_svm_stretch),
        f"{min(one.per_person.values()):.3f}",
        shortened(one.budget),
    )


def _gain(gain: tuple[float, float, float] | None) -> str:
    return _DASH if gain is None else f"{gain[0]:+.3f} [{gain[1]:+.3f}, {gain[2]:+.3f}]"


def shortened(budget: Budget) -> str:
    """What was cut, in words."""
    parts = []
    if budget.epochs is not None:
        parts.append(f"{budget.epochs} epochs")
    if budget.train_windows:
        parts.append(f"{budget.train_windows} windows trained on a fold")
    if budget.test_windows:
        parts.append(f"{budget.test_windows} windows asked a fold")
    return ", ".join(parts) or "no"


def _ablations(report: Report, variants: dict[str, Variant]) -> Iterator[str]:
    some = [one for one in report.figures if one.variant != AS_RECORDED]
    if not some:
        return
    yield "## Ablations\n"
    rows = [
        (one.variant, protocol(one), one.system, str(one.windows), interval(one), f"{one.scores.kappa:.3f}",
         _gain(one.minus_svm), shortened(one.budget))
        for one in some
    ]  # fmt: skip
    yield markdown(
        ("variant", "protocol", "system", "windows", "macro-F1", "kappa", "less SVM on codes", "shortened"),
        rows,
    )
    yield from (f"- {name}: {variants[name].told}." for name in dict.fromkeys(one.variant for one in some))
    yield ""


def _pairs(report: Report) -> Iterator[str]:
    for system, found in report.pairs.items():
        yield f"## Pairs of labels with people and clips held out: {system}\n"
        yield (
            "Balanced accuracy between the two, mean over people; 0.5 is chance. Which classes were made "
            "different, and which identical, is known of this simulated corpus.\n"
        )
        yield markdown(
            ("pair", "made", "accuracy", "p"),
            [
                (f"{pair.one} / {pair.two}", "identical" if pair.identical else "different",
                 f"{pair.accuracy:.3f}", f"{pair.p:.4f}")
                for pair in sorted(found, key=lambda pair: -pair.accuracy)
            ],
        )  # fmt: skip


_TABLE_HEAD = ("compression", "model", "parameters", "storage", "precision", "epochs",
               "nine: F1", "nine: RT (s)", "three: F1", "three: RT (s)")  # fmt: skip


def _table_1(report: Report, pictures: dict[str, str]) -> Iterator[str]:
    yield "## Table I layout: small models\n"
    if not report.language:
        yield f"Ours was not run: {report.language_told}\n"
    else:
        yield f"Ours, on people never seen, top-k 1. {report.language_told}\n"
        yield markdown(_TABLE_HEAD, [_ours(report, step, 1) for step in report.language])
    yield f"The paper's own ({literature.SOURCE}, Table I; its split is not described), quoted:\n"
    yield markdown(_TABLE_HEAD, [_quoted(row) for row in literature.TABLE_1])
    if "steps" in pictures:
        yield "### Figure 11 layout: F1 and response time over the steps of both strategies\n"
        yield f"![steps]({pictures['steps']})\n"


def _table_2(report: Report) -> Iterator[str]:
    yield "## Table II layout: how the answer is asked for\n"
    yield (
        "The paper's Table II is of models of 1.5 to 7 B parameters, which were not run here. Ours under "
        "both settings of top-k, and with the labels scored by their tokens, nothing being written:\n"
    )
    if report.language:
        rows = [
            (step.compression, step.model, _asked(asked), f"{asked.f1:.3f}", _f1(asked.three_f1),
             f"{asked.unparsable} of {asked.windows}", _seconds(report, step, asked))
            for step in report.language
            for asked in step.asked
        ]  # fmt: skip
        yield markdown(
            ("compression", "model", "asked by", "F1", "three: F1", "no label in the answer", "RT (s)"), rows
        )
    else:
        yield "Not run.\n"
    for top_k, quoted in literature.TABLE_2.items():
        yield f"The paper's own ({literature.SOURCE}, Table II, top-k {top_k}), quoted:\n"
        yield markdown(_TABLE_HEAD, [_quoted(row) for row in quoted])


def _ours(report: Report, step: Step, top_k: int) -> tuple[str, ...]:
    asked = next(one for one in step.asked if one.top_k == top_k)
    seconds = _seconds(report, step, asked)
    return (
        step.compression, f"{step.model} (ours)", f"{step.parameters / 1e6:.2f}M",
        f"{step.bytes_bf16 / 2**20:.2f} MiB", "trained in fp32, size in bf16", f"{step.epochs:g}",
        _f1(asked.nine_f1), seconds if asked.nine_f1 is not None else _DASH,
        _f1(asked.three_f1), seconds if asked.three_f1 is not None else _DASH,
    )  # fmt: skip


def _quoted(row: literature.Quoted) -> tuple[str, ...]:
    return (
        row.compression, f"{row.model} (paper)", row.parameters, row.storage, "bf16", str(row.epochs),
        f"{row.nine_f1:.3f}", f"{row.nine_seconds:.3f}", f"{row.three_f1:.3f}", f"{row.three_seconds:.3f}",
    )  # fmt: skip


def _asked(asked: Asked) -> str:
    return f"top-k {asked.top_k}" if asked.top_k else "label scoring"


def _f1(value: float | None) -> str:
    return _DASH if value is None else f"{value:.3f}"


def _seconds(report: Report, step: Step, asked: Asked) -> str:
    return f"{report.timing.language[f'{step.model}/{_asked(asked)}']:.3f}"


def _clusters(report: Report) -> Iterator[str]:
    yield "## Figures 9 and 10: clusters of prompt embeddings\n"
    if not report.clusters:
        yield "Not run.\n"
        return
    yield "Adjusted Rand index: 1 is full agreement, 0 chance. Nothing is held out, since no label is used.\n"
    yield markdown(
        ("compression", "embedding", "clusters by", "with labels", "with people"),
        [
            (one.compression, one.embedding, one.method, f"{one.labels:.3f}", f"{one.people:.3f}")
            for one in report.clusters
        ],
    )
    for picture in dict.fromkeys(one.picture for one in report.clusters):
        yield f"![{Path(picture).stem}]({picture})\n"
