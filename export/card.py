"""The model card: what the bundle is, what it was measured to do, and what it must not be used for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.seal import Provenance


def card(recipe: dict[str, Any], evaluation: dict[str, Any], provenance: Provenance) -> str:
    """Markdown; every figure comes from `evaluation.json`."""
    model, svm = evaluation["model"], evaluation["svm"]
    gain, low, high = evaluation["model_minus_svm"]
    settings, training = recipe["pipeline"], provenance.training
    beats = "It is" if low > 0 else "The interval includes zero, so it is not shown to be"
    return f"""# {recipe["name"]}-{provenance.version}

{provenance.summary}

**Research use only. Not a medical device. Not for diagnosis, treatment, or any decision about a person.**

## What it reads
{settings["window"]:g}-second windows of scalp EEG at {settings["rate"]:g} Hz, {settings["highpass"]:g} to
{settings["lowpass"]:g} Hz, common average reference, compressed by `{settings["compression"]}` and told as
deviations from the person's own first {settings["calibration"]:g} s of rest. Any {settings["min_channels"]}
or more of: {", ".join(settings["montage"])}.
Labels: {", ".join(recipe["labels"])}.

## Model
{training.base} Pruning: {training.pruning}. Quantisation: {provenance.quantisation}.
Probabilities are divided by temperature {evaluation["temperature"]:.2f}, fitted on held-out people.

## Data
{training.data} Licence: {training.licence}.
{training.attribution}

## Measured, on people the model never saw
{evaluation["people"]} people in {evaluation["folds"]} folds grouped by person, {evaluation["windows"]} windows
that share no sample with the calibration. Brackets: 95 % of bootstrap resamples of people.

| | macro-F1 | accuracy | kappa |
| --- | --- | --- | --- |
| this model | **{model["macro_f1"]:.3f}** [{model["low"]:.3f}, {model["high"]:.3f}] | {model["accuracy"]:.3f} | {model["kappa"]:.3f} |
| SVM-RBF, same codes, same folds | {svm["macro_f1"]:.3f} [{svm["low"]:.3f}, {svm["high"]:.3f}] | {svm["accuracy"]:.3f} | {svm["kappa"]:.3f} |

Difference {gain:+.3f} [{low:+.3f}, {high:+.3f}]. {beats} better than the SVM beyond chance of who was recorded.
One vote a recording: {evaluation["vote_macro_f1"]:.3f}. The person it serves worst: {evaluation["per_person_low"]:.3f}.
Expected calibration error {evaluation["calibration_error"]:.3f} (10 bins; temperature fitted on the same
held-out predictions). The shipped weights were then trained on everybody; they themselves have no held-out figure.

## Confounds: why these figures may flatter
- Rest always came first and the task second, in separate files; the authors' ICA ran on each file by itself. A
  reader can partly tell the files apart instead of the states. Chance would be 0.50.
- The people are {evaluation["people"]} young adults of one laboratory and one amplifier, without known disorders.
- `stress` means one minute of serial subtraction, a mild acute stressor; there is no other emotion in the data
  and no label of what the people felt.
- Windows of one recording overlap and are alike: the number of people, not of windows, is the sample size.

## Must not be used for
Diagnosis or monitoring of patients, decisions about employment, education, insurance, policing or migration,
lie detection, or any use on people who did not agree to it.
"""
