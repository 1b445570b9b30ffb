"""What the daemon says of itself in `health`, checked against itself and against what lies on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.soak.ears import Heard
from tests.soak.samples import Run

_ENDS = ("calibrating", "waiting", "dropped", "stale")


def contradictions(heard: Iterable[Heard], runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """One line each. runs: recorded of each stream; the last health has to be that of a clean end."""
    found: list[str] = []
    newest: dict[str, Any] | None = None
    for one in heard:
        if one.kind != "health":
            continue
        newest = one.told if newest is None or one.seq >= newest["seq"] else newest
        for name, told in one.told["streams"].items():
            through = sum(told[f"windows_{end}"] for end in _ENDS) + told["labels"] + told["abstained"]
            if told["windows"] != through:
                found.append(f"health {one.seq}: {name}: {told['windows']} windows, {through} accounted for")
    if newest is None:
        return [*found, "no health was ever heard"]
    for name, told in newest["streams"].items():
        there = sum(run.numbers.size for run in _last_life(runs[name]))
        if there != told["samples"] - told["unrecorded"]:
            said = f"{told['samples']} samples, {told['unrecorded']} of them unrecorded"
            found.append(f"health says of {name}'s last life: {said}; on the disk are {there}")
    return sorted(set(found))


def _last_life(runs: Sequence[Run]) -> list[Run]:
    """The daemon's own numbers begin anew with each of its lives."""
    found: list[Run] = []
    for run in runs:
        if found and run.first_sample <= found[-1].first_sample:
            found = []
        found.append(run)
    return found
