"""Corpora on disk: the same bytes whoever makes them, whatever stops them; and what is refused."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.chain import Chain
from training import recipe
from training.corpora.settings import Eegmat
from training.corpus import (
    Corpus,
    CorpusError,
    Example,
    examples,
    load_corpus,
    make_corpus,
    place,
    play_sitting,
    sittings,
)
from training.errors import TrainingError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def plan() -> recipe.Recipe:
    whole = recipe.load("eegmat")
    return msgspec.structs.replace(whole, corpus=Eegmat(shifts=(1.0,)))


@pytest.fixture(scope="module")
def people(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set of the first two people."""
    folder = tmp_path_factory.mktemp("eegmat")
    lines = (shared_data("eegmat") / "subjects.csv").read_text().splitlines(keepends=True)[:3]
    (folder / "subjects.csv").write_text("".join(lines))
    for line in lines[1:]:
        for part in (1, 2):
            name = f"{line.split(',')[0]}_{part}.edf"
            (folder / name).symlink_to(shared_data(f"eegmat/{name}").resolve())
    return folder


@pytest.fixture(scope="module")
def made(plan: recipe.Recipe, people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Corpus]:
    folder = tmp_path_factory.mktemp("made") / "corpus"
    return folder, make_corpus(plan, people, folder, jobs=2, progress=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same(one: Example, two: Example) -> bool:
    left, right = one.window, two.window
    return (
        (one.subject, one.person, one.label, one.trial, one.stimulus, one.shifted)
        == (two.subject, two.person, two.label, two.trial, two.stimulus, two.shifted)
        and np.array_equal(left.codes, right.codes)
        and left.codes.dtype == right.codes.dtype
        and (left.channels, left.method, left.span) == (right.channels, right.method, right.span)
        and np.array_equal(left.quality.good, right.quality.good)
        and (left.quality.reasons, left.quality.score) == (right.quality.reasons, right.quality.score)
    )


def test_what_is_kept_is_what_was_played(
    plan: recipe.Recipe, people: Path, made: tuple[Path, Corpus]
) -> None:
    folder, corpus = made
    played = [e for sitting in sittings(plan, people) for e in examples(sitting, plan.pipeline)]
    loaded = load_corpus(folder, plan)
    assert len(played) > 140
    for kept in (corpus, loaded):
        assert all(map(same, kept.examples, played)) and len(kept.examples) == len(played)
        assert kept.labels == ("calm", "stress") and kept.settings == plan.pipeline
        assert not any(example.shifted for example in kept.examples)
        assert len(kept.shifted) > 140 and all(example.shifted for example in kept.shifted)
    moved = {example.window.span.start_s for example in corpus.shifted}
    assert moved.isdisjoint(example.window.span.start_s for example in corpus.examples)


def test_trials_share_no_sample(made: tuple[Path, Corpus]) -> None:
    _, corpus = made
    spans: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for example in corpus.examples:
        if example.trial:
            spans.setdefault((example.subject, example.trial), []).append(
                (example.window.span.start_s, example.window.span.end_s)
            )
    assert {name for _, name in spans} == {f"calm-0{n}" for n in (3, 4, 5, 6)} | {"stress-01", "stress-02"}
    for subject in {subject for subject, _ in spans}:
        edges = sorted(
            (min(a for a, _ in found), max(b for _, b in found))
            for (whose, _), found in spans.items()
            if whose == subject
        )
        assert all(end <= begin for (_, end), (begin, _) in pairwise(edges))
    assert sum(not example.trial for example in corpus.examples) > 20


def test_a_sitting_can_be_played_again(plan: recipe.Recipe, people: Path, made: tuple[Path, Corpus]) -> None:
    """Cut at the borders of trials, it gives the very windows that were kept."""
    sitting = sittings(plan, people)[0]
    chain, spans, labels = None, set(), set()
    for moment in play_sitting(sitting):
        chain = chain or Chain(plan.pipeline, moment.chunk.channels, moment.chunk.rate, sitting.mains)
        labels.add((moment.label, moment.trial))
        spans |= {(window.span.start_s, window.span.end_s) for window in chain.feed(moment.chunk)}
    kept = [e.window.span for e in made[1].examples if e.subject == sitting.subject]
    assert {(span.start_s, span.end_s) for span in kept} <= spans
    assert ("calm", "calm-03") in labels and ("stress", "stress-01") in labels


def test_any_number_of_workers_makes_the_same_bytes(
    plan: recipe.Recipe, people: Path, made: tuple[Path, Corpus], tmp_path: Path
) -> None:
    make_corpus(plan, people, tmp_path, jobs=1, progress=False)
    assert contents(tmp_path) == contents(made[0])


def test_what_is_whole_is_not_made_again_and_what_is_not_is(
    plan: recipe.Recipe, people: Path, made: tuple[Path, Corpus]
) -> None:
    folder, _ = made
    before = contents(folder)
    whole, broken = folder / "Subject01.npz", folder / "Subject04.npz"
    stamp = whole.stat().st_mtime_ns
    broken.write_bytes(before["Subject04.npz"][:-300])
    with pytest.raises(
        CorpusError, match=r"Subject04\.npz: damaged .*: run `python -m training corpus` again"
    ):
        load_corpus(folder)
    make_corpus(plan, people, folder, jobs=1, progress=False)
    assert contents(folder) == before and whole.stat().st_mtime_ns == stamp

    flipped = bytearray(before["Subject04.npz"])
    flipped[len(flipped) // 2] ^= 1  # the length stays, the sum of the archive does not
    broken.write_bytes(flipped)
    with pytest.raises(CorpusError, match=r"Subject04\.npz"):
        load_corpus(folder)
    make_corpus(plan, people, folder, jobs=1, progress=False)
    assert contents(folder) == before


def corpus_command(*words: object, **more: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "training", "corpus", *map(str, words)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **more,  # type: ignore[call-overload]
    )


def test_kill_9_and_the_same_command_end_in_the_same_bytes(people: Path, tmp_path: Path) -> None:
    def start(out: str) -> subprocess.Popen[str]:
        return corpus_command("--data", people, "--out", tmp_path / out, "--jobs", 1)

    killed = start("a")
    first = tmp_path / "a" / "corpus" / "Subject01.npz"
    end = time.monotonic() + 90
    while not first.exists() and killed.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert first.exists() and killed.returncode == -signal.SIGKILL
    with pytest.raises(CorpusError, match="not finished: run `python -m training corpus` again, it goes on"):
        load_corpus(tmp_path / "a" / "corpus")
    stamp = first.stat().st_mtime_ns
    for out in ("a", "b"):
        done = start(out)
        told, complaints = done.communicate()
        assert done.returncode == 0, complaints
        assert "2 people, " in told and "calm " in told
    assert first.stat().st_mtime_ns == stamp
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_full_disk_is_one_line_and_nothing_of_the_file(people: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: writing fails in the same place."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = corpus_command("--data", people, "--out", tmp_path, "--jobs", 1, preexec_fn=limit)
    _, complaints = done.communicate()
    told = [line for line in complaints.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and "Traceback" not in complaints
    assert len(told) == 1 and "Subject01.npz: cannot be written: File too large" in told[0]
    assert [path.name for path in (tmp_path / "corpus").iterdir()] == ["corpus.json"]


def test_a_corpus_of_other_settings_is_refused(
    plan: recipe.Recipe, people: Path, made: tuple[Path, Corpus], tmp_path: Path
) -> None:
    other = msgspec.structs.replace(
        plan, pipeline=msgspec.structs.replace(plan.pipeline, compression="w50-energy")
    )
    told = "made under other settings .*compression: 'w5-energy', the recipe says 'w50-energy'.*another --out"
    with pytest.raises(CorpusError, match=told):
        make_corpus(other, people, made[0], progress=False)
    with pytest.raises(CorpusError, match=told):
        load_corpus(made[0], other)
    with pytest.raises(CorpusError, match="no corpus here: make one"):
        load_corpus(tmp_path)
    (tmp_path / "corpus.json").write_text("{")
    with pytest.raises(CorpusError, match=r"corpus\.json: damaged"):
        load_corpus(tmp_path)


def test_changed_recordings_are_played_again(
    plan: recipe.Recipe, people: Path, made: tuple[Path, Corpus], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for file in people.iterdir():
        (data / file.name).write_bytes(file.read_bytes())
    make_corpus(plan, data, tmp_path / "corpus", jobs=1, progress=False)
    raw = bytearray((data / "Subject01_1.edf").read_bytes())
    raw[200_000:200_400] = bytes(400)
    (data / "Subject01_1.edf").write_bytes(raw)
    make_corpus(plan, data, tmp_path / "corpus", jobs=1, progress=False)
    now, before = contents(tmp_path / "corpus"), contents(made[0])
    assert now["Subject01.npz"] != before["Subject01.npz"]
    assert now["Subject04.npz"] == before["Subject04.npz"]


def test_missing_and_empty_labels_are_one_line(plan: recipe.Recipe, people: Path, tmp_path: Path) -> None:
    few = msgspec.structs.replace(plan, labels=("calm",))
    with pytest.raises(
        CorpusError, match=r"Subject01: shows 'stress', which is not among the recipe's labels"
    ):
        make_corpus(few, people, tmp_path / "a", jobs=1, progress=False)
    many = msgspec.structs.replace(plan, labels=("calm", "stress", "joy"))
    with pytest.raises(CorpusError, match="not one window shows joy: add recordings, or take it out"):
        make_corpus(many, people, tmp_path / "b", jobs=1, progress=False)
    with pytest.raises(CorpusError, match="not finished"):
        load_corpus(tmp_path / "b")
    (tmp_path / "subjects.csv").write_text("Subject,Age,Gender\n../x,18,F\n")
    for part in (1, 2):
        (tmp_path.parent / f"x_{part}.edf").touch()
    with pytest.raises(CorpusError, match=r"a sitting cannot be named '\.\./x'"):
        make_corpus(plan, tmp_path, tmp_path / "c", jobs=1, progress=False)
    (tmp_path / "Subject09_1.edf").write_bytes(b"0" * 1000)
    (tmp_path / "Subject09_2.edf").write_bytes(b"0" * 1000)
    (tmp_path / "subjects.csv").write_text("Subject,Age,Gender\nSubject09,18,F\n")
    for jobs in (1, 2):
        with pytest.raises(TrainingError, match=r"Subject09: .*Subject09_1\.edf: not an EDF or BDF file"):
            make_corpus(plan, tmp_path, tmp_path / "c", jobs=jobs, progress=False)


def test_a_smaller_headset_has_a_corpus_of_its_own(
    plan: recipe.Recipe, people: Path, made: tuple[Path, Corpus], tmp_path: Path
) -> None:
    name = "four at forehead and temples"
    corpus = make_corpus(plan, people, tmp_path, montage=name, jobs=1, progress=False)
    assert corpus.settings.montage == plan.montages[name]
    assert {c for e in corpus.examples for c in e.window.channels} == set(plan.montages[name])
    # Referenced to four electrodes, their codes are others than in the whole montage.
    whole = {(e.subject, e.window.span.start_s): e for e in made[1].examples}
    kept = load_corpus(tmp_path, plan, montage=name)
    assert len(kept.examples) == len(corpus.examples) > 100
    different = 0
    for example in kept.examples:
        other = whole[example.subject, example.window.span.start_s].window
        row = other.channels.index("T7")
        different += not np.array_equal(
            example.window.codes[example.window.channels.index("T7")], other.codes[row]
        )
    assert different > len(kept.examples) / 2
    assert place(tmp_path, name) == tmp_path / "montages" / "four-at-forehead-and-temples"
    with pytest.raises(CorpusError, match="no montage 'none'; it has: OpenBCI Cyton"):
        load_corpus(tmp_path, plan, montage="none")
