"""What the laboratory found: one JSON object, and a Markdown table of each fault's recovery."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.soak.campaign import FAULTS, Inflicted
from tests.soak.node import Vital

# A process that has just begun still grows: what it needs for its first drafts and readings is no leak.
_WARM_SHARE = 1 / 3
_WARM_MOST_S = 300.0
_LEAST_S = 300.0  # of a life after that, for a slope to mean anything


def slope(vitals: Sequence[Vital]) -> tuple[float | None, float]:
    """(MB an hour by least squares over the longest life after its warm-up, how long that was in seconds).

    None where no life was long enough.
    """
    lives: dict[int, list[Vital]] = defaultdict(list)
    for vital in vitals:
        lives[vital.life].append(vital)
    best: list[Vital] = []
    for life in lives.values():
        warm = life[0].at + min(_WARM_MOST_S, _WARM_SHARE * (life[-1].at - life[0].at))
        settled = [vital for vital in life if vital.at >= warm]
        if settled and (not best or settled[-1].at - settled[0].at > best[-1].at - best[0].at):
            best = settled
    seconds = best[-1].at - best[0].at if best else 0.0
    if seconds < _LEAST_S:
        return None, seconds
    hours = np.array([(vital.at - best[0].at) / 3600 for vital in best])
    return float(np.polyfit(hours, [vital.rss_mb for vital in best], 1)[0]), seconds


def descriptors(vitals: Sequence[Vital], points: int = 12) -> list[tuple[float, int, int]]:
    """(minutes since the first, life, open files), evenly over time."""
    if not vitals:
        return []
    chosen = np.unique(np.linspace(0, len(vitals) - 1, points).astype(int))
    return [
        (round((vitals[n].at - vitals[0].at) / 60, 1), vitals[n].life, vitals[n].files)
        for n in chosen.tolist()
    ]


def recoveries(done: Sequence[Inflicted]) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = defaultdict(list)
    for one in done:
        found[one.fault.name].append(None if one.recovery_s is None else round(one.recovery_s, 1))
    return dict(found)


def write(out: Path, summary: dict[str, Any], done: Sequence[Inflicted], vitals: Sequence[Vital]) -> None:
    """out: the JSON file; the Markdown goes beside it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(summary, indent=1) + "\n")
    out.with_suffix(".md").write_text(_markdown(summary, done, vitals))


def _markdown(summary: dict[str, Any], done: Sequence[Inflicted], vitals: Sequence[Vital]) -> str:
    lines = ["# Fault laboratory", ""]
    lines += [
        f"{summary['minutes']:g} minutes, seed {summary['seed']}, {summary['faults']} faults inflicted.",
        "",
    ]
    lines += ["| fault | what | lasts s | times | recovery s: median (worst) | sign of recovery |"]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    for name, fault in FAULTS.items():
        ones = [one for one in done if one.fault.name == name]
        if not ones:
            why = summary["not_run"].get(name, "not asked for")
            lines.append(f"| {name} | {fault.what} | – | 0 | not run: {why} | {fault.sign} |")
            continue
        times = [one.recovery_s for one in ones if one.recovery_s is not None]
        told = (
            f"{statistics.median(times):.1f} ({max(times):.1f})"
            if len(times) == len(ones)
            else "did not recover"
        )
        lasted = statistics.median(one.lasted_s for one in ones)
        lines.append(f"| {name} | {fault.what} | {lasted:.0f} | {len(ones)} | {told} | {fault.sign} |")
    lines += ["", "Messages: " + ", ".join(f"{n} {what}" for what, n in summary["messages"].items()) + "."]
    lines += ["Samples: " + ", ".join(f"{n} {what}" for what, n in summary["samples"].items()) + "."]
    grown = summary["memory_mb_per_h"]
    lines += [
        "",
        f"Memory: {'no life long enough' if grown is None else f'{grown:+.2f} MB/h'} over the last "
        f"{summary['memory_over_s']:.0f} s of the longest life.",
        "",
        "| minute | life | open files |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {minute} | {life} | {files} |" for minute, life, files in descriptors(vitals)]
    lines += ["", *(f"- {problem}" for problem in summary["problems"])]
    return "\n".join(lines).rstrip() + "\n"
