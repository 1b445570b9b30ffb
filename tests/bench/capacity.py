"""How many headsets one node sustains, by channels and rate, and what each costs."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.report import Bar, Chart, Report, Table
from tests.bench.rounds import Spread, number
from tests.bench.trial import Trial, trial

_CHANNELS = (19, 32, 64)
_RATES = (250.0, 500.0, 1000.0)
# The most that a configuration may hold.
_MOST = 64
_MAIN = (32, 250.0)
_MAIN_COUNT = 32
_COSTS = (1, 4, 16)


def run(report: Report, *, quick: bool) -> None:
    longest = 5.0 if quick else 20.0
    trials: dict[tuple[int, float], list[Trial]] = {}
    shapes = [_MAIN] if quick else [(channels, rate) for channels in _CHANNELS for rate in _RATES]
    for channels, rate in shapes:
        tried: list[Trial] = []
        # The shape that is promised is looked at longest; nine of that length would take half an hour.
        seconds = longest if (channels, rate) == _MAIN else longest / 2

        def attempt(
            count: int, c: int = channels, r: float = rate, s: float = seconds, tried: list[Trial] = tried
        ) -> bool:
            tried.append(trial(count, c, r, s))
            print(f"  {_line(tried[-1])}", flush=True)
            return tried[-1].sustained

        if quick:
            attempt(4)
        else:
            _search(attempt)
        trials[channels, rate] = tried
    if not quick:
        trials[_MAIN] += [trial(count, *_MAIN, longest) for count in _COSTS]
        together = trial(_MAIN_COUNT, *_MAIN, longest, in_step=True)
        report.figure("headsets_in_step_p99_ms", together.p99)
        report.figure("headsets_in_step_dropped", together.dropped + together.late)
    _tell(report, trials)


def _search(attempt: Callable[[int], bool]) -> None:
    """Up to a quarter of the answer: what is asked first is what users ask first."""
    if attempt(_MAIN_COUNT):
        if not attempt(_MOST):
            attempt(48)
        return
    fails, holds = _MAIN_COUNT, 0
    while fails - holds > max(1, fails // 4):
        middle = (fails + holds) // 2
        if attempt(middle):
            holds = middle
        else:
            fails = middle


def _best(tried: list[Trial]) -> Trial | None:
    return max((t for t in tried if t.sustained), key=lambda t: t.count, default=None)


def _tell(report: Report, trials: dict[tuple[int, float], list[Trial]]) -> None:
    best = {shape: _best(tried) for shape, tried in trials.items()}
    for (channels, rate), found in best.items():
        report.figure(f"headsets_{channels}ch_{rate:g}hz", found.count if found else 0)
    main = best[_MAIN]
    report.figure("headsets_sustained", main.count if main else 0)
    if main:
        report.figure("headsets_sustained_p99_ms", main.p99)
        report.figure("headsets_sustained_cores", main.cores)
        report.figure("headsets_sustained_rss_mb", main.peak_mb)
    report.tables.append(
        Table(
            "Headsets on one node: labels every 2 s, no drop, p99 below 2 s",
            (
                "headsets × channels × Hz",
                "holds",
                "labels",
                "p99 ms",
                "dropped",
                "cores",
                "headsets' cores",
                "peak MB",
            ),
            [_cells(t) for shape in sorted(trials) for t in sorted(trials[shape], key=lambda t: t.count)],
            f"All on this machine, headsets included; {_MOST} is the most that a configuration may hold. The "
            "shipped bundle reads nineteen electrodes; further ones are received and left aside.",
        )
    )
    counts = sorted({t.count for tried in trials.values() for t in tried})
    header = ("channels × Hz", *(f"{n} headsets" for n in counts))
    report.tables.append(Table("Cost of one headset, cores of the daemon", header, _costs(trials, counts)))
    bars = [
        Bar(f"{channels} channels, {rate:g} Hz", Spread(found.count, found.count, found.count), ours=True)
        for (channels, rate), found in sorted(best.items())
        if found
    ]
    report.charts.append(Chart("Headsets sustained on this machine", "more is better", bars))


def _costs(trials: dict[tuple[int, float], list[Trial]], counts: list[int]) -> list[tuple[str, ...]]:
    rows = []
    for (channels, rate), tried in sorted(trials.items()):
        each = {t.count: t.cores / t.count for t in tried}
        rows.append((f"{channels} × {rate:g}", *(number(each[n]) if n in each else "" for n in counts)))
    return rows


def _cells(t: Trial) -> tuple[str, ...]:
    return (
        f"{t.count} × {t.channels} × {t.rate:g}",
        "yes" if t.sustained else "no",
        str(t.readings),
        number(t.p99),
        str(t.dropped + t.late),
        number(t.cores),
        number(t.headset_cores),
        number(t.peak_mb),
    )


def _line(t: Trial) -> str:
    shape, holds, _, p99, dropped, cores, *_ = _cells(t)
    verb = "holds" if holds == "yes" else "does not hold"
    return f"{shape}: {verb}, p99 {p99} ms, {dropped} dropped, {cores} cores"
