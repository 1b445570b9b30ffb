"""The real command, on real recordings and on made-up people: what it writes, and what a kill leaves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer

from pipeline import prompt
from training.evaluation.settings import PROTOCOLS, SYSTEMS
from training.report import literature
from training.report.clusters import pieces, sentence_embedding
from training.report.record import Report
from training.verbs.options import recipe_of

ROOT = Path(__file__).parents[1]
EMBEDDER = ROOT / "build" / "minilm"
# Minutes on two quiet cores; machines that run tests are seldom quiet.
PATIENCE = 1500

# What makes a report in seconds instead of minutes, with a model, a baseline of codes and one of signals.
SHORT = """
[evaluate]
protocols = ["random-window", "person-held-out"]
systems = ["model", "majority", "svm-codes", "tangent-rest"]
compressions = []
demographics = false
uncalibrated = false
"""


def few(source: Path, target: Path, people: int) -> Path:
    """A data set of the first so many people."""
    target.mkdir()
    lines = (source / "subjects.csv").read_text().splitlines(keepends=True)
    (target / "subjects.csv").write_text("".join(lines[: people + 1]))
    for line in lines[1 : people + 1]:
        for part in (1, 2):
            name = f"{line.split(',')[0]}_{part}.edf"
            (target / name).symlink_to((source / name).resolve())
    return target


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "training", "report", *map(str, words), "--jobs", "2"]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE)


def report(out: Path) -> Report:
    return msgspec.json.decode((out / "report" / "report.json").read_bytes(), type=Report)


def untimed(out: Path) -> dict[str, Any]:
    """All of it that a repetition gives again."""
    told: dict[str, Any] = msgspec.json.decode((out / "report" / "report.json").read_bytes())
    assert told.pop("timing")["answers"]
    return told


@pytest.mark.timeout(PATIENCE)
def test_a_quick_report_of_real_recordings(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    data, out = few(shared_data("eegmat"), tmp_path / "data", 4), tmp_path / "out"
    done = run("--recipe", "eegmat", "--data", data, "--out", out, "--quick")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "PASS  shuffled EEG is at chance, person-held-out, model" in done.stdout
    told = report(out)
    assert told.quick and told.people == 4 and told.labels == ("calm", "stress")
    plain = {(one.protocol, one.system) for one in told.figures if one.variant == "as-recorded"}
    assert plain == {(p, s) for p in ("random-window", "trial-held-out", "person-held-out") for s in SYSTEMS}
    ablated = {one.variant for one in told.figures if one.system == "model"}
    assert ablated >= {
        "shuffled",
        "demographics",
        "uncalibrated",
        "w50-energy",
        "w50-approx",
        "w500x10-approx",
    }
    assert sum(name.startswith("montage: ") for name in ablated) == 3
    assert {one.what for one in told.missing} >= {
        "person-and-clip-held-out",
        "Tables I and II, Figure 11: fine-tuned language models",
    }
    # Of drawn labels nothing can be found but the trials themselves, which random windows give away.
    (leak,) = (one for one in told.figures if (one.protocol, one.variant, one.system) == (
        "random-window", "shuffled", "svm-codes"))  # fmt: skip
    (honest,) = (one for one in told.figures if (one.protocol, one.variant, one.system) == (
        "person-held-out", "shuffled", "svm-codes"))  # fmt: skip
    assert leak.leaky and leak.scores.macro_f1 > honest.scores.macro_f1 + 0.1

    text = (out / "report" / "REPORT.md").read_text()
    assert "Research use only" in text and "quick run" in text
    assert all("LEAKY" in line for line in text.splitlines() if line.startswith(("### random", "| random")))
    for row in (*literature.TABLE_1, *literature.TABLE_2[1], *literature.TABLE_2[50]):
        assert f"| {row.model} (paper) |" in text and f"{row.three_f1:.3f}" in text
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert {"protocols.svg", "confusion.svg", "reliability.svg", "people.svg"} <= set(pictures)
    assert all((out / "report" / name).read_text().startswith("<?xml") for name in pictures)
    card = (out / "report" / "MODEL_CARD.md").read_text()
    assert "Not a medical device" in card and "files apart" in card and "quick run" in card
    for_bundle = msgspec.json.decode((out / "evaluation.json").read_bytes())
    assert len(for_bundle["montages"]) == 3 and for_bundle["folds"] == 2


@pytest.mark.timeout(PATIENCE)
def test_a_quick_report_of_made_up_people(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("--recipe", "simulated", "--out", out, "--quick")
    assert done.returncode == 0, done.stderr[-2000:]
    told = report(out)
    assert len(told.labels) == 9 and {one.protocol for one in told.figures} == set(PROTOCOLS)
    assert len(told.pairs["model"]) == 36 and sum(pair.identical for pair in told.pairs["model"]) == 2
    assert {one.compression for one in told.language} == {"W", "W→S"}
    assert {one.strategy for one in told.language} == {0, 1, 2}
    pruned = [one for one in told.language if one.strategy]
    whole = [one for one in told.language if not one.strategy]
    assert max(one.parameters for one in pruned) < min(one.parameters for one in whole)
    for step in told.language:
        assert [(asked.top_k, asked.windows) for asked in step.asked] == [(0, 9), (1, 9), (50, 9)]
        assert all(asked.nine_f1 is not None and asked.three_f1 is not None for asked in step.asked)
    text = (out / "report" / "REPORT.md").read_text()
    assert "checkpoint1-1 (ours)" in text and "![steps](steps.svg)" in text
    drawn = {(one.compression, one.embedding.rpartition(",")[0]) for one in told.clusters}
    own = {("w50-approx", f"W, strategy {n} hidden states") for n in (1, 2)}
    assert drawn >= own | {("w500x10-approx", f"W→S, strategy {n} hidden states") for n in (1, 2)}
    if (EMBEDDER / "embedder.toml").is_file():
        sentences = {compression for compression, embedding in drawn if embedding == "all-MiniLM-L6-v2"}
        assert sentences == {"w5-energy", "w50-approx", "w500x10-approx"}
    else:
        assert "Figure 9, clusters of sentence embeddings" in {one.what for one in told.missing}


def test_a_prompt_is_embedded_in_pieces_that_are_read_whole() -> None:
    """The longest prompts that a model is asked, of 64 electrodes and 50 codes each, at their most tokens."""
    text = prompt.prefix(prompt.Person(99, "female"))
    text += "".join(f"CP{row} " + " ".join(["7"] * 50) + "\n" for row in range(64)) + prompt.ASK
    cut = pieces(text)
    assert "".join(cut) == text and len(cut) > 8
    if not (EMBEDDER / "embedder.toml").is_file():
        pytest.skip("build/minilm is not there: make embedder")
    tokenizer = Tokenizer.from_file(str(EMBEDDER / "tokenizer.json"))
    tokenizer.no_truncation()
    assert max(len(tokenizer.encode(piece).ids) for piece in cut) <= 256
    embed = sentence_embedding(EMBEDDER)
    whole, end_changed, alone = embed([text, text + " joy", cut[0]])
    assert np.abs(whole - end_changed).max() > 1e-3  # the end is read, far behind the first 256 tokens
    assert np.linalg.norm(alone) == pytest.approx(1, abs=1e-5) and np.linalg.norm(whole) < 1


@pytest.mark.timeout(PATIENCE)
def test_a_kill_at_any_moment_changes_no_figure(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    data = few(shared_data("eegmat"), tmp_path / "data", 3)
    text = (ROOT / "training" / "recipes" / "eegmat.toml").read_text()
    kept = re.sub(r"\[evaluate[^]]*\]\n(?:[^\[].*\n|\n)*", "", re.sub(r"\[montages\]\n(?:\".*\n)*", "", text))
    plan = tmp_path / "short.toml"
    plan.write_text(kept + SHORT)
    words = ("--recipe", plan, "--data", data, "--quick")
    done = run(*words, "--out", tmp_path / "whole")
    assert done.returncode == 0, done.stderr[-2000:]

    out = tmp_path / "killed"
    for wanted in (1, 9):
        process = subprocess.Popen(
            command(*words, "--out", out), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _until_cells(out, wanted, process)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        assert not (out / "report" / "report.json").exists()
    kept_cells = {path: path.stat().st_mtime_ns for path in _cells(out)}
    assert run(*words, "--out", out).returncode == 0
    # Its workers may have finished what they were at; nothing that was whole is done again.
    assert all(path.stat().st_mtime_ns == when for path, when in kept_cells.items())
    assert untimed(out) == untimed(tmp_path / "whole")


def _cells(out: Path) -> list[Path]:
    return sorted((out / "evaluation").glob("*/*/*-*.npz"))


def _until_cells(out: Path, wanted: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while len(_cells(out)) < wanted:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("verb", ["evaluate", "report", "fit"])
def test_help_gives_an_example(verb: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "training", verb, "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 0 and f"python -m training {verb} --recipe eegmat" in done.stdout


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "in-the-way").write_text("")
    for words, why in (
        (("--recipe", "faced-9"), "give their folder with --data"),
        (("--recipe", "unheard-of"), "recipes there: "),
        (("--recipe", "eegmat", "--data", tmp_path), "subjects.csv is missing"),
    ):
        done = run(*words, "--out", tmp_path / "out")
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert why in done.stderr.splitlines()[-1]


def test_quick_is_smaller_in_every_way() -> None:
    import argparse

    def plan(name: str, quick: bool) -> Any:
        return recipe_of(argparse.Namespace(recipe=name, quick=quick))

    for name in ("eegmat", "simulated"):
        whole, short = plan(name, False), plan(name, True)
        assert short.folds < whole.folds and short.evaluate.people and short.fit.batch < whole.fit.batch
        assert short.evaluate.systems == whole.evaluate.systems
    assert short.corpus.n_people == 4
