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
ENGINES = "tests.bench.engines"
_BASES = (("smollm2", "SmolLM2-135M"), ("paper", "the paper's pruned Qwen2 shape, 157 M, random weights"))

Rate = Callable[[str], float]


def run(report: Report, *, quick: bool) -> None:
    rounds = 1 if quick else 5
    shipped = Bundle.load(shipped_bundle())
    _windows(report, "shipped_window_ms", "shipped bundle", shipped, rounds)
    _shipped_rates(report, shipped, rounds)
    chosen = METHODS[0]
    for base, title in _BASES:
        try:
            target = weights.prepare(base, base, title, FOLDER / base)
        except ChildError as error:
            report.miss(title, str(error))
            continue
        found, fidelity = _compare(report, target, rounds)
        for operation in ("prefill", "decode"):
            method = _headline(report, target, operation, found[operation], fidelity)
            if operation == "prefill" and fidelity:
                chosen = method
        for method in METHODS:
            key = f"{base}_{method}_window_ms"
            _windows(report, key, f"{title}, {method}", weights.bundle(target, method), rounds)
    # By the method that reads text as well as the peer does: random weights have no fidelity of their own.
    if f"paper_{chosen}_window_ms" in report.figures:
        report.figure("paper_shape_window_ms", float(report.figures[f"paper_{chosen}_window_ms"]))
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
            "One token a code. The paper needs 590 ms a window on an RTX 4090.",
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
        **{f"ours {m}": partial(child, "ours", partial(target.graph, m)) for m in METHODS},
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
        kl, equal = (number(x) for x in fidelity[name]) if name in fidelity else ("", "")
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
            "weights, over English text.",
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
) -> str:
    """Ours by the faster of llama.cpp's two: each method, and the fastest that diverges no more.

    Returns that method.
    """
    theirs = [f"llama.cpp {kind}" for kind in _GGUF if f"llama.cpp {kind}" in rates]
    if not theirs:
        return METHODS[0]
    peer = max(theirs, key=lambda name: spread(rates[name]).median)
    for method in METHODS:
        against: Spread = ratio(rates[f"ours {method}"], rates[peer])
        report.figure(f"{target.key}_{method}_{operation}_vs_llamacpp", against)
    true = [m for m in METHODS if fidelity and fidelity[f"ours {m}"][0] <= fidelity[peer][0]]
    best = max(true or METHODS[:1], key=lambda m: spread(rates[f"ours {m}"]).median)
    if target.key == "smollm2":
        report.figure(f"{operation}_vs_llamacpp", ratio(rates[f"ours {best}"], rates[peer]))
        report.note(f"{operation}_vs_llamacpp_forms", f"{best} against {peer.removeprefix('llama.cpp ')}")
    return best


def _slug(name: str) -> str:
    return name.lower().replace("llama.cpp", "llamacpp").replace("-", "_").replace(" ", "_")
