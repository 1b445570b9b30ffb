"""MODEL_CARD.md of what was evaluated: what it is, what it can do, what it must not be used for."""

from __future__ import annotations

from training.corpora.settings import Eegmat, Simulated
from training.evaluation.tables import interval, markdown, protocol
from training.evaluation.variants import AS_RECORDED
from training.recipe import Recipe
from training.report.record import Report

_CONFOUNDS = {
    Eegmat: (
        "Rest always came first and the task second, in separate files; the authors' ICA ran on each file by "
        "itself. A reader can partly tell the files apart instead of the states.",
        "`stress` means a minute of serial subtraction, a mild acute stressor; nobody was asked how it felt.",
        "One laboratory, one amplifier, young adults without known disorders.",
    ),
    Simulated: (
        "The people are made up and so are the effects: no figure here says how well a person is read.",
    ),
}
_OTHER = (
    "What differs between the label's recordings beside the emotion (order, clip, movement, impedance) may "
    "be "
    "what is read.",
)


def model_card(recipe: Recipe, report: Report) -> str:
    """Markdown; every figure comes from the report's record."""
    settings, shape = recipe.pipeline, recipe.model
    held = [
        one for one in report.figures if one.variant == AS_RECORDED and one.system in ("model", "svm-codes")
    ]
    rows = [
        (protocol(one), one.system, interval(one), f"{one.stretch.macro_f1:.3f}" if one.stretch else "–",
         f"{one.scores.kappa:.3f}", f"{one.calibration_error:.3f}")
        for one in held
    ]  # fmt: skip
    confounds = "\n".join(f"- {told}" for told in _CONFOUNDS.get(type(recipe.corpus), _OTHER))
    failed = [check.line() for check in report.checks if check.passed is False]
    warning = "\n".join(["", "**Checks failed; do not use:**", *failed, ""]) if failed else ""
    quick = "\n**Of a quick run: the models are hardly trained; no figure says how well anybody is read.**\n"
    return f"""# Model card: {recipe.name}

**Research use only. Not a medical device. Not for diagnosis, treatment, or any decision about a person.**
{quick if report.quick else ""}{warning}
## What it is
A Qwen2-shaped language model, {shape.layers} layers of width {shape.hidden}, trained from scratch on
prompts; it reads {settings.window:g}-second windows of scalp EEG at {settings.rate:g} Hz, compressed by
`{settings.compression}`, told as deviations from the person's own first {settings.calibration:g} s of rest,
from {settings.min_channels} or more of
{len(settings.montage)} electrodes. Labels: {", ".join(recipe.labels)}.

## Measured
{report.people} people. In every row the model was trained anew without what is held out; the leaky protocol
is there to show what it does, not as a measure. Brackets: 95 % of bootstrap resamples of people.

{markdown(("protocol", "system", "macro-F1", "30 s", "kappa", "calibration error"), rows)}
## Confounds
{confounds}
- Windows of one recording overlap and are alike: the number of people, not of windows, is the sample size.

## Must not be used for
Diagnosis or monitoring of patients, decisions about employment, education, insurance, policing or migration,
lie detection, or any use on people who did not agree to it.
"""
