"""Sentences that follow from the figures by rule: nothing here is written by hand for a result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from training.evaluation.checks import Check
from training.evaluation.summary import Figures
from training.evaluation.variants import AS_RECORDED, DEMOGRAPHICS, MONTAGE, SHUFFLED, UNCALIBRATED
from training.report.record import Clustered, Step

_HELD_OUT = "person-held-out"
# A difference of macro-F1 that means something in use; smaller ones are called level.
_NOTABLE = 0.02
_CALIBRATED = 0.05


def discuss(
    found: Sequence[Figures],
    checks: Sequence[Check],
    steps: Sequence[Step],
    clusters: Sequence[Clustered],
    labels: Sequence[str],
    *,
    quick: bool,
    ica: bool,
) -> Iterator[str]:
    """ica: whether each recording is of one label and was cleaned by an ICA of its own."""
    if quick:
        yield (
            "This was a quick run: few people, two folds, models hardly trained. It shows that every part "
            "runs. No figure in it says how well anybody is read, and no sentence below should be read as if "
            "it did."
        )
    by = {(one.protocol, one.variant, one.system): one for one in found}
    model, svm = by.get((_HELD_OUT, AS_RECORDED, "model")), by.get((_HELD_OUT, AS_RECORDED, "svm-codes"))
    if model is not None:
        yield from _model(model, svm)
        yield from _baselines(model, by, ica)
        yield from _leak(by, "model")
        yield from _ablations(model, found)
    elif svm is not None:
        yield "The model was not among the systems that were run; only baselines are compared."
        yield from _leak(by, "svm-codes")
    if model is not None:
        yield from _calibration(model)
    if failed := [check.name for check in checks if check.passed is False]:
        yield f"Checks failed: {'; '.join(failed)}. Rely on nothing above before this is understood."
    yield from _steps(steps, labels)
    yield from _clusters(clusters)


def _model(model: Figures, svm: Figures | None) -> Iterator[str]:
    if model.minus_svm is None or svm is None:
        yield "The SVM on the same codes was not run beside the model."
        return
    value, low, high = model.minus_svm
    told = f"{value:+.3f} macro-F1 [{low:+.3f}, {high:+.3f}] between the model and an SVM on the same codes"
    if low > 0:
        yield f"With people held out the model is better: {told}; the interval over people excludes zero."
    elif high < 0:
        yield f"With people held out the model is worse: {told}; the interval over people excludes zero."
    else:
        yield (
            f"With people held out the model is not shown to be better: {told} includes zero. With "
            f"{model.people} people the interval is {high - low:.3f} wide, so a difference below about "
            f"{(high - low) / 2:.2f} cannot be shown on this corpus whatever the model."
        )
    if model.minus_svm_stretch is not None and model.stretch is not None:
        value, low, high = model.minus_svm_stretch
        verdict = "excludes" if low > 0 or high < 0 else "includes"
        yield (
            f"Over 30 s the model reaches {model.stretch.macro_f1:.3f} [{model.stretch.low:.3f}, "
            f"{model.stretch.high:.3f}]; the difference to the SVM, {value:+.3f} [{low:+.3f}, {high:+.3f}], "
            f"{verdict} zero."
        )
    worst = min(model.per_person, key=lambda name: model.per_person[name])
    yield f"The person it serves worst is {worst}, with macro-F1 {model.per_person[worst]:.3f}."


def _baselines(model: Figures, by: dict[tuple[str, str, str], Figures], ica: bool) -> Iterator[str]:
    others = [one for key, one in by.items() if key[:2] == (_HELD_OUT, AS_RECORDED) and key[2] != "model"]
    better = [one for one in others if one.scores.macro_f1 > model.scores.macro_f1]
    if better:
        told = ", ".join(f"{one.system} {one.scores.macro_f1:.3f}" for one in better)
        yield f"Higher than the model's {model.scores.macro_f1:.3f} with people held out: {told}."
    tangent = next((one for one in better if one.system in ("tangent-rest", "tangent")), None)
    if tangent is not None and ica:
        yield (
            f"The tangent-space reader is higher ({tangent.scores.macro_f1:.3f}), and there is reason for "
            "suspicion: the authors of this data set ran an ICA on each recording by itself, and each "
            "recording is wholly of one label. What an ICA takes out of a file lowers the rank of its "
            "covariance matrix, and this reader looks at nothing else: part of its figure may come from "
            "telling files apart, on new people too, instead of states. This corpus cannot decide between "
            "the two."
        )


def _leak(by: dict[tuple[str, str, str], Figures], system: str) -> Iterator[str]:
    leaky, held = (by.get((name, AS_RECORDED, system)) for name in ("random-window", _HELD_OUT))
    if leaky is None or held is None:
        return
    gap = leaky.scores.macro_f1 - held.scores.macro_f1
    told = (
        f"{leaky.scores.macro_f1:.3f} on random windows (LEAKY) against {held.scores.macro_f1:.3f} with "
        "people held out"
    )
    if gap > _NOTABLE:
        yield f"A random split flatters by {gap:.3f}: the same {system} reaches {told}."
    else:
        yield f"The random split does not flatter the {system} here: {told}."
    clips = by.get(("person-and-clip-held-out", AS_RECORDED, system))
    if clips is not None:
        lost = held.scores.macro_f1 - clips.scores.macro_f1
        yield (
            f"Holding out the clips as well takes {lost:.3f} away, to {clips.scores.macro_f1:.3f}: "
            + (
                "with people held out alone, part of what is read is which clip is on."
                if lost > _NOTABLE
                else "what is read is not which clip is on."
            )
        )


def _ablations(model: Figures, found: Sequence[Figures]) -> Iterator[str]:
    for one in found:
        if one.system != "model" or one.protocol != _HELD_OUT or one.variant == AS_RECORDED:
            continue
        f1, name = one.scores.macro_f1, one.variant
        lost = model.scores.macro_f1 - f1
        shortened = " (trained shorter, see the table)" if one.budget != model.budget else ""
        if one.variant == UNCALIBRATED:
            yield f"Without the own rest as yardstick it reaches {f1:.3f}, {-lost:+.3f}{shortened}."
        elif one.variant == DEMOGRAPHICS:
            yield f"From age and gender alone it reaches {f1:.3f}{shortened}."
        elif one.variant == SHUFFLED:
            yield f"With shuffled labels it reaches {f1:.3f}; the checks say whether that is chance."
        elif one.variant.startswith(MONTAGE):
            yield f"On {name.removeprefix(MONTAGE)} it reaches {f1:.3f}, {-lost:+.3f}."
        else:
            svm = next((o for o in found if (o.variant, o.system) == (name, "svm-codes")), None)
            beside = f", the SVM on the same codes, in full, {svm.scores.macro_f1:.3f}" if svm else ""
            yield f"Compressed by {name} the model reaches {f1:.3f}{shortened}{beside}."


def _calibration(model: Figures) -> Iterator[str]:
    error = model.calibration_error
    verdict = "within" if error <= _CALIBRATED else "above"
    yield (
        f"Its probabilities are off by {error:.3f} on average (expected calibration error; temperatures "
        f"fitted on other folds), {verdict} the {_CALIBRATED:g} that is aimed at; untempered "
        f"{model.calibration_error_untempered:.3f}."
    )


def _steps(steps: Sequence[Step], labels: Sequence[str]) -> Iterator[str]:
    tuned = [one for one in steps if one.strategy]
    if not tuned:
        return
    best = max(tuned, key=lambda one: max(asked.f1 for asked in one.asked))
    f1 = max(asked.f1 for asked in best.asked)
    yield (
        f"Of the fine-tuned checkpoints {best.model} is the best: macro-F1 {f1:.3f} over {len(labels)} "
        f"labels (chance about {1 / len(labels):.3f}), on people it never saw."
    )
    wrong = sum(asked.unparsable for one in tuned for asked in one.asked)
    asked = sum(asked.windows for one in tuned for asked in one.asked if asked.top_k)
    yield f"Of {asked} written answers {wrong} named no label and count as wrong."


def _clusters(clusters: Sequence[Clustered]) -> Iterator[str]:
    alone = [one for one in clusters if "prompt alone" in one.embedding]
    if not alone:
        return
    labels, people = (max(getattr(one, what) for one in alone) for what in ("labels", "people"))
    yield (
        f"Clusters of prompts without their treatments agree with the labels by at most {labels:.2f} and "
        f"with the people by at most {people:.2f} (adjusted Rand index). Where the treatment is in the text, "
        "as in the paper, agreement shows that treatments were chosen by label, not that EEG clusters."
    )
