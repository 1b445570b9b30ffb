"""What the laboratory found: one JSON object, and a Markdown table of each fault's recovery."""

from __future__ import annotations

import csv
import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from tests.soak.campaign import FAULTS, Inflicted
from tests.soak.growth import minutes
from tests.soak.node import Vital


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
    with out.with_suffix(".csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(field.name for field in fields(Vital))
        table.writerows(astuple(vital) for vital in vitals)


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
    lines += [
        "",
        _memory(summary),
        "",
        "| minute | life | resident MB | not of files | open files | threads |",
    ]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    lines += [
        f"| {minute} | {one.life} | {one.rss_mb:.1f} | {one.anon_mb:.1f} | {one.files} | {one.threads} |"
        for minute, one in minutes(vitals)
    ]
    lines += ["", *(f"- {problem}" for problem in summary["problems"])]
    return "\n".join(lines).rstrip() + "\n"


def _memory(summary: dict[str, Any]) -> str:
    over = (
        f"over the last {summary['memory_over_s']} s of the longest life, behind its first "
        f"{summary['memory_warm_up_s']} s"
    )
    if summary["memory_mb_per_h"] is None:
        return f"Memory: no life long enough ({over})."
    low, high = summary["memory_interval"]
    return (
        f"Memory: {summary['memory_mb_per_h']:+.2f} MB/h (95 % between {low:+.2f} and {high:+.2f}; "
        f"{summary['memory_anon_mb_per_h']:+.2f} of it in no file) {over}."
    )
