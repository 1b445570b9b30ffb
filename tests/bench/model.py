"""The language models: prefill, decode and windows, ours and the peers', two threads each."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.bundle import MODEL, Bundle, shipped_bundle
from tests.bench import gguf_file, llamacpp, weights, windows
from tests.bench.engines import NEW, PREFIX
from tests.bench.report import Bar, Chart, Report, Table
from tests.bench.resident import MissingError, Resident, resident
from tests.bench.rounds import Spread, alternate, number, ratio, spread
from tests.bench.weights import METHODS, Target
from tests.parts.machine import ROOT, ChildError, environment

FOLDER = ROOT / "build" / "bench-models"
_OPERATIONS = ("prefill", "decode", "extend")
_GGUF = ("Q8_0", "Q4_0")
# Name, program and form.
_OURS = {
    f"ours {method}{word}": (f"ours{word.replace(' ', '-')}", method)
    for word in ("", " spinning")
    for method in METHODS
}
# The paper's figure for a window, on an RTX 4090.
PAPER_MS = 590.0
ENGINES = "tests.bench.engines"
_BASES = (("smollm2", "SmolLM2-135M"), ("paper", "the paper's pruned Qwen2 shape, 157 M, random weights"))

Rate = Callable[[str], float]


def run(report: Report, *, quick: bool) -> None:
    rounds = 1 if quick else 3
    shipped = Bundle.load(shipped_bundle())
    _windows(report, "shipped_window_ms", "shipped bundle", shipped, rounds)
    _shipped_rates(report, shipped, rounds)
    divergence: dict[str, float] = {}
    for base, title in _BASES:
        try:
            target = weights.prepare(base, base, title, FOLDER / base)
        except ChildError as error:
            report.miss(title, str(error))
            continue
        found, fidelity = _compare(report, target, rounds)
        for operation in ("prefill", "decode"):
            _headline(report, target, operation, found[operation], fidelity)
        divergence |= {name: kl for name, (kl, _) in fidelity.items()}
        for method in METHODS:
            key = f"{base}_{method}_window_ms"
            _windows(report, key, f"{title}, {method}", weights.bundle(target, method), rounds)
    _paper_shape(report, divergence)


def _paper_shape(report: Report, divergence: dict[str, float]) -> None:
    """The most faithful form that is as fast as the paper; where none is, the fastest of those that read text
    as well as llama.cpp's Q4_0. Random weights have no fidelity of their own: SmolLM2's is taken.
    """
    times = {
        m: float(report.figures[key]) for m in METHODS if (key := f"paper_{m}_window_ms") in report.figures
    }
    if not times:
        return
    known = sorted((m for m in times if f"ours {m}" in divergence), key=lambda m: divergence[f"ours {m}"])
    most = divergence.get("llama.cpp Q4_0", float("inf"))
    true = [m for m in known if divergence[f"ours {m}"] <= most] or list(METHODS[:1])
    in_time = [m for m in true if times[m] <= PAPER_MS]
    chosen = in_time[0] if in_time else min(true, key=times.__getitem__)
    report.figure("paper_shape_window_ms", times[chosen])
    report.note("paper_shape_method", chosen)


def _windows(report: Report, key: str, title: str, bundle: Bundle, rounds: int) -> None:
    cost = windows.measure(bundle, 20 * rounds if cost_is_small(bundle) else 4 * rounds)
    report.figure(key, spread(cost.milliseconds))
    table = next((t for t in report.tables if t.title.startswith("One window")), None)
    if table is None:
        table = Table(
            "One window to its label, 19 electrodes, warm prefix",
            ("model", "tokens", "ms", "first of a person, ms"),
            [],
            f"One token a code. The paper needs {PAPER_MS:g} ms a window on an RTX 4090.",
        )
        report.tables.append(table)
    assert isinstance(table.rows, list)
    table.rows.append((title, str(cost.tokens), str(spread(cost.milliseconds)), number(cost.first_ms)))


def cost_is_small(bundle: Bundle) -> bool:
    return (bundle.path / MODEL).stat().st_size < 10e6


def _shipped_rates(report: Report, bundle: Bundle, rounds: int) -> None:
    with resident(ENGINES, "ours", bundle.path / MODEL, "--vocabulary", 300) as engine:
        for operation in _OPERATIONS:
            rates = spread([_rate(engine, operation) for _ in range(rounds)])
            report.figure(f"shipped_{operation}_tok_s", rates)


def _compare(
    report: Report, target: Target, rounds: int
) -> tuple[dict[str, dict[str, list[float]]], dict[str, tuple[float, float]]]:
    """Tokens a second, by operation and program; divergence and agreement on text, by program."""
    with contextlib.ExitStack() as stack:
        programs: dict[str, Rate] = {}
        for name, start in _engines(target, stack).items():
            try:
                programs[name] = start()
            except (MissingError, ImportError) as error:
                report.miss(f"{target.key}: {name}", str(error))
            except ChildError as error:
                report.miss(f"{target.key}: {name}", f"it is installed and does not run: {error}")
        found = {}
        for operation in _OPERATIONS:
            print(f"  {target.key}: {operation} by {len(programs)} programs", flush=True)
            found[operation] = alternate(
                {name: partial(rate, operation) for name, rate in programs.items()}, rounds
            )
    fidelity = _fidelity(report, target) if target.key == "smollm2" else {}
    for name, (divergence, equal) in fidelity.items():
        report.figure(f"{target.key}_{_slug(name)}_kl", divergence)
        report.figure(f"{target.key}_{_slug(name)}_top1", equal)
    _table(report, target, found, fidelity)
    return found, fidelity


def _rate(engine: Resident, operation: str) -> float:
    """Tokens a second."""
    return (PREFIX if operation == "prefill" else NEW) / engine.seconds(operation)


def _engines(target: Target, stack: contextlib.ExitStack) -> dict[str, Callable[[], Rate]]:
    def child(engine: str, path: Callable[[], Path]) -> Rate:
        words = (engine, path(), "--vocabulary", min(target.vocabulary, 400))
        return partial(_rate, stack.enter_context(resident(ENGINES, *words)))

    def llama(kind: str) -> Rate:
        llamacpp.program("llama-bench")
        whole = gguf_file.write(target.weights, target.folder / "f32.gguf")
        file = llamacpp.quantize(whole, target.folder / f"{kind}.gguf", kind)
        return partial(llamacpp.rate, file)

    return {
        **{name: partial(child, engine, partial(target.graph, m)) for name, (engine, m) in _OURS.items()},
        **{f"llama.cpp {kind}": partial(llama, kind) for kind in _GGUF},
        "onnxruntime-genai int4": partial(child, "genai", partial(weights.genai, target)),
        "Optimum ORTModel fp32": partial(child, "optimum", lambda: target.plain),
        "torch fp32": partial(child, "torch", lambda: target.weights),
    }


def _fidelity(report: Report, target: Target) -> dict[str, tuple[float, float]]:
    forms = {f"ours {m}": target.graph(m) for m in METHODS}
    forms |= {f"llama.cpp {k}": f for k in _GGUF if (f := target.folder / f"{k}.gguf").exists()}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.bench.fidelity",
            target.weights,
            *(f"{n}={f}" for n, f in forms.items()),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
    )
    if done.returncode:
        report.miss("fidelity", (done.stderr.strip().splitlines() or ["no word"])[-1])
        return {}
    return {name: (d, e) for name, (d, e) in json.loads(done.stdout.strip().splitlines()[-1]).items()}


def _table(
    report: Report,
    target: Target,
    found: dict[str, dict[str, list[float]]],
    fidelity: dict[str, tuple[float, float]],
) -> None:
    rows = []
    for name in found["prefill"]:
        rates = {operation: spread(found[operation][name]) for operation in _OPERATIONS}
        form = name.removesuffix(" spinning")
        kl, equal = (number(x) for x in fidelity[form]) if form in fidelity else ("", "")
        extend_ms = number(NEW / rates["extend"].median * 1e3)
        rows.append((name, str(rates["prefill"]), str(rates["decode"]), extend_ms, kl, equal))
        for operation in ("prefill", "decode"):
            report.figure(f"{target.key}_{_slug(name)}_{operation}_tok_s", rates[operation])
    report.tables.append(
        Table(
            f"{target.title}, tokens a second",
            (
                "program",
                f"prefill {PREFIX}",
                f"decode {NEW} behind {PREFIX}",
                f"{NEW} at once, ms",
                "KL",
                "top 1",
            ),
            rows,
            f"Decoding and {NEW} at once are behind a prefix of {PREFIX}. KL and top 1 against the float32 "
            "weights, over English text. Spinning: waiting threads burn their core within a run, as those of "
            "the peers do (`[model] spin`).",
        )
    )
    for operation in ("prefill", "decode"):
        bars = [Bar(n, spread(v), ours=n.startswith("ours")) for n, v in found[operation].items()]
        report.charts.append(Chart(f"{target.title}: {operation}", "tokens a second, more is better", bars))


def _headline(
    report: Report,
    target: Target,
    operation: str,
    rates: dict[str, list[float]],
    fidelity: dict[str, tuple[float, float]],
) -> None:
    """Ours by the faster of llama.cpp's two: each method, and the fastest that diverges no more."""
    theirs = [f"llama.cpp {kind}" for kind in _GGUF if f"llama.cpp {kind}" in rates]
    if not theirs:
        return
    peer = max(theirs, key=lambda name: spread(rates[name]).median)
    for name in _OURS:
        against: Spread = ratio(rates[name], rates[peer])
        report.figure(f"{target.key}_{_slug(name.removeprefix('ours '))}_{operation}_vs_llamacpp", against)
    true = [n for n, (_, m) in _OURS.items() if fidelity and fidelity[f"ours {m}"][0] <= fidelity[peer][0]]
    best = max(true or list(_OURS)[:1], key=lambda name: spread(rates[name]).median)
    if target.key == "smollm2":
        report.figure(f"{operation}_vs_llamacpp", ratio(rates[best], rates[peer]))
        words = f"{best.removeprefix('ours ')} against {peer.removeprefix('llama.cpp ')}"
        report.note(f"{operation}_vs_llamacpp_forms", words)


def _slug(name: str) -> str:
    return name.lower().replace("llama.cpp", "llamacpp").replace("-", "_").replace(" ", "_")
