"""The report's pictures, as SVG that is the same for the same figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

# No display is needed, and none is looked for.
matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.whole import write_whole
from training.evaluation.measures import Float64, Int64
from training.evaluation.summary import Figures
from training.evaluation.tables import protocol
from training.report.record import Report, Step

# Ids that do not change from run to run, and no date.
_STYLE: Any = {"svg.hashsalt": "report", "svg.fonttype": "none", "font.size": 8.0, "axes.spines.top": False}
_STYLE |= {"axes.spines.right": False, "figure.constrained_layout.use": True}
_NO_DATE = {"Date": None}


@contextmanager
def _drawn(path: Path, width: float, height: float, columns: int = 1, rows: int = 1) -> Iterator[list[Axes]]:
    """width, height: inches."""
    with matplotlib.rc_context(_STYLE):
        figure: Figure
        figure, axes = pyplot.subplots(rows, columns, figsize=(width, height), squeeze=False)
        yield list(axes.flat)
        drawn = BytesIO()
        figure.savefig(drawn, format="svg", metadata=_NO_DATE)
        pyplot.close(figure)
    write_whole(path, drawn.getvalue())


def confusions(found: Sequence[Figures], labels: Sequence[str], path: Path) -> None:
    """One matrix a system; shares of what was shown."""
    side = 1.6 + 0.28 * len(labels)
    with _drawn(path, side * len(found), side, columns=len(found)) as axes:
        for ax, one in zip(axes, found, strict=True):
            table = np.array(one.confusion, dtype=np.float64)
            share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
            ax.imshow(share, vmin=0, vmax=1, cmap="Blues")
            for row, column in np.ndindex(*share.shape):
                value = share[row, column]
                colour = "white" if value > 0.6 else "black"
                ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=6)
            ax.set_xticks(range(len(labels)), labels, rotation=60, ha="right")
            ax.set_yticks(range(len(labels)), labels)
            ax.set(title=one.system, xlabel="said", ylabel="shown")


def reliability(found: Sequence[Figures], path: Path) -> None:
    with _drawn(path, 4.5, 4.0) as (ax,):
        ax.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        for one in found:
            _, confidence, right = np.array(one.reliability).T
            told = f"{one.system}: calibration error {one.calibration_error:.3f}"
            ax.plot(confidence, right, marker="o", markersize=3, label=told)
        ax.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
        ax.legend(loc="upper left")


def people(found: Sequence[Figures], path: Path) -> None:
    """Bars of each person's macro-F1, ordered by the first system."""
    order = sorted(found[0].per_person, key=lambda name: found[0].per_person[name])
    with _drawn(path, 2 + 0.3 * len(order), 3.0) as (ax,):
        width = 0.8 / len(found)
        for place, one in enumerate(found):
            at = np.arange(len(order)) + (place - (len(found) - 1) / 2) * width
            ax.bar(at, [one.per_person[name] for name in order], width, label=one.system)
        ax.set_xticks(range(len(order)), order, rotation=90)
        ax.set(ylabel="macro-F1", ylim=(0, 1))
        ax.legend(loc="lower right")


def protocols(report: Report, path: Path) -> None:
    """Macro-F1 of all systems by protocol, with 95 % of resamples of people."""
    found = [one for one in report.figures if one.variant == "as-recorded"]
    names = list(dict.fromkeys(protocol(one) for one in found))
    systems = list(dict.fromkeys(one.system for one in found))
    with _drawn(path, 2 + 1.6 * len(names), 3.2) as (ax,):
        width = 0.8 / len(systems)
        for place, system in enumerate(systems):
            some = [one for one in found if one.system == system]
            at = np.array([names.index(protocol(one)) for one in some], dtype=np.float64)
            at += (place - len(systems) / 2 + 0.5) * width
            value = np.array([one.scores.macro_f1 for one in some])
            spread = [
                value - np.array([min(one.scores.low, one.scores.macro_f1) for one in some]),
                np.array([max(one.scores.high, one.scores.macro_f1) for one in some]) - value,
            ]
            ax.bar(at, value, width, yerr=spread, label=system, error_kw={"linewidth": 0.6})
        ax.axhline(1 / len(report.labels), color="grey", linewidth=0.8, linestyle="--")
        ax.set_xticks(range(len(names)), names)
        ax.set(ylabel="macro-F1", ylim=(0, 1))
        ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.12))


def steps(found: Sequence[Step], seconds: dict[str, float], path: Path) -> None:
    """The paper's Figure 11: F1 and response time over the steps of the two strategies."""
    with _drawn(path, 7.5, 3.0, columns=2) as (left, right):
        for name in dict.fromkeys((s.compression, s.strategy) for s in found if s.strategy):
            some = sorted((s for s in found if (s.compression, s.strategy) == name), key=lambda one: one.step)
            at = [one.step for one in some]
            told = f"{name[0]}, strategy {name[1]}"
            written = [next(a for a in one.asked if a.top_k == 1) for one in some]
            left.plot(at, [a.f1 for a in written], marker="o", markersize=3, label=told)
            took = [seconds[f"{one.model}/top-k 1"] for one in some]
            right.plot(at, took, marker="o", markersize=3, label=told)
        left.set(xlabel="step", ylabel="macro-F1, top-k 1", ylim=(0, 1))
        right.set(xlabel="step", ylabel="seconds an answer")
        left.legend()


def clusters(points: Sequence[tuple[str, Float64, Int64, Sequence[str]]], path: Path) -> None:
    """points: for each panel its title, places (n, 2), cluster of each, and its label's name as a mark."""
    with _drawn(path, 3.4 * len(points), 3.2, columns=len(points)) as axes:
        marks = "o^svDP*Xh"
        for ax, (title, places, cluster, shown) in zip(axes, points, strict=True):
            names = sorted(set(shown))
            for name in names:
                here = np.array([one == name for one in shown])
                ax.scatter(
                    places[here, 0],
                    places[here, 1],
                    c=cluster[here],
                    cmap="tab10",
                    vmin=0,
                    vmax=9,
                    s=9,
                    marker=marks[names.index(name) % len(marks)],
                    label=name,
                )
            ax.set(title=title, xticks=[], yticks=[])
        axes[-1].legend(fontsize=6, title="shown (colour: cluster)", title_fontsize=6)
