"""The recipe's `[evaluate]` section: what is compared, and how much time each comparison may take."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec

Protocol = Literal["random-window", "trial-held-out", "person-held-out", "person-and-clip-held-out"]
System = Literal[
    "model",
    "majority",
    "logistic-codes",
    "svm-codes",
    "logistic-bands",
    "svm-bands",
    "tangent",
    "tangent-rest",
    "eegnet",
]
Count = Annotated[int, msgspec.Meta(ge=1)]

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
SYSTEMS: tuple[System, ...] = get_args(System)
COMPRESSIONS = ("w5-energy", "w50-energy", "w50-approx", "w500x10-approx")


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a comparison is shortened to; None and 0 leave it whole. The report names what was shortened."""

    epochs: Count | None = None
    """Of the model, in place of the recipe's."""
    train_windows: int = 0
    """Most windows that the model is trained on in a fold, spaced evenly over it."""
    test_windows: int = 0
    """Most windows of a fold that the model is asked about, spaced evenly."""


# Prompts of 50 codes a line cost ten times those of 5, and those of 500 a hundred times: the model's training
# is shortened there, and the SVM beside it is not.
_BUDGETS = {
    "shuffled": Budget(epochs=4),
    "w50-energy": Budget(epochs=2, train_windows=600, test_windows=100),
    "w50-approx": Budget(epochs=2, train_windows=600, test_windows=100),
    "w500x10-approx": Budget(epochs=1, train_windows=100, test_windows=30),
}


class Evaluate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults compare everything; budgets are by variant, or by protocol where nothing is varied."""

    protocols: tuple[Protocol, ...] = PROTOCOLS
    systems: tuple[System, ...] = SYSTEMS
    compressions: tuple[str, ...] = COMPRESSIONS
    """Compared under people held out, beside the recipe's own."""
    demographics: bool = True
    shuffled: bool = True
    uncalibrated: bool = True
    clip_folds: Annotated[int, msgspec.Meta(ge=2)] = 3
    """Groups of clips, each held out together with a group of people."""
    stretch: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """Seconds over which the windows' log-probabilities are averaged into one answer."""
    resamples: Count = 2000
    """Of people, behind each interval; and of labels, behind each bound of chance."""
    eegnet_steps: Count = 400
    """Of 32 crops each."""
    people: int = 0
    """Only so many people, the first by name; 0 for all."""
    budgets: dict[str, Budget] = msgspec.field(default_factory=lambda: dict(_BUDGETS))


# Minutes instead of an hour: few people, two folds, hardly trained. Proves that the way is whole, no more.
QUICK_PEOPLE = 4
QUICK_FOLDS = 2
QUICK_BATCH = 8


def quick(settings: Evaluate) -> Evaluate:
    """The same comparisons, as short as they can be."""
    short = Budget(epochs=1, train_windows=64, test_windows=24)
    budgets = dict.fromkeys((*PROTOCOLS, "demographics", "shuffled", "uncalibrated"), short)
    # Two steps of QUICK_BATCH prompts; a window of 500 codes is told in ten.
    long = Budget(epochs=1, train_windows=2 * QUICK_BATCH, test_windows=8)
    budgets |= dict.fromkeys(COMPRESSIONS, long)
    budgets["w500x10-approx"] = Budget(epochs=1, train_windows=2, test_windows=2)
    return msgspec.structs.replace(
        settings,
        people=QUICK_PEOPLE,
        resamples=min(settings.resamples, 200),
        eegnet_steps=4,
        budgets=budgets,
    )
