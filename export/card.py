"""The model card: what the bundle is, what it was measured to do, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from export.fidelity import Fidelity

if TYPE_CHECKING:
    from export.seal import Provenance


def card(
    recipe: dict[str, Any],
    evaluation: dict[str, Any],
    provenance: Provenance,
    quantisation: str,
    fidelity: Sequence[Fidelity],
) -> str:
    """Markdown; every figure comes from `evaluation.json` and `fidelity.json`."""
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
{training.base} Pruning: {training.pruning}. Quantisation: {quantisation}.
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
Expected calibration error {evaluation["calibration_error"]:.3f} (10 bins; each fold at the temperature that fits
the other folds' held-out predictions). The shipped weights were then trained on everybody; they themselves have no held-out figure.
{_montages(evaluation.get("montages", {}))}{_fidelity(fidelity)}
## Confounds: why these figures may flatter
- Rest always came first and the task second, in separate files; the authors' ICA ran on each file by itself. A
  reader can partly tell the files apart instead of the states. Chance would be 0.50.
- The people are {evaluation["people"]} young adults of one laboratory and one amplifier, without known disorders.
- `stress` means one minute of serial subtraction, a mild acute stressor; there is no other emotion in the data
  and no label of what the people felt.
- Windows of one recording overlap and are alike: the number of people, not of windows, is the sample size.
- The codes, the shrinkage of the spread and the model's size were chosen on the same folds, a few choices each.

## Must not be used for
Diagnosis or monitoring of patients, decisions about employment, education, insurance, policing or migration,
lie detection, or any use on people who did not agree to it.
"""


def _montages(found: dict[str, Any]) -> str:
    """The same models on fewer electrodes; empty where none were tried."""
    if not found:
        return ""
    rows = "\n".join(
        f"| {name} | {', '.join(one['electrodes'])} | {one['macro_f1']:.3f} |" for name, one in found.items()
    )
    return f"""
### With fewer electrodes
The model of each fold on the held-out people, filtered, referenced and calibrated on these electrodes alone.

| headset | electrodes | macro-F1 |
| --- | --- | --- |
{rows}
"""


def _fidelity(rows: Sequence[Fidelity]) -> str:
    """What each form of the weights changes; empty where nothing was compared."""
    if not rows:
        return ""
    windows = f"{rows[0].windows} {'real' if rows[0].real else 'random'} windows"
    lines = "\n".join(
        f"| {row.form} | {row.mb:.2f} | {row.logits_error:.1e} | {row.greedy:.3f} | {row.labels_equal:.2%} "
        f"| {row.gap_max:.4f} | {row.gap_mean:.5f} | {_change(row)} |"
        for row in rows
    )
    return f"""
## Fidelity of the graph that is shipped, and of the others
Against the float32 weights in torch, on {windows} (of the people the weights were trained on: this is about
arithmetic, not about how good the model is). Logits: largest difference as a share of the largest logit. Next token: how often the
same would be written. `plain` is the export as it comes, `fused` the same in ONNX Runtime's own operators.

| form | MB | logits | next token | labels equal | probability, largest gap | mean gap | macro-F1 change |
| --- | --- | --- | --- | --- | --- | --- | --- |
{lines}

`int8` scales activations over a whole run and is therefore not shipped: a result must be its own.
"""


def _change(row: Fidelity) -> str:
    return "–" if row.macro_f1_change is None else f"{row.macro_f1_change:+.4f}"
