"""What is held out stays out, figures are what their names say, and checks fail where they should."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import product
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from pipeline.calibration import MIDDLE
from pipeline.errors import PipelineError
from pipeline.prompt import Person
from pipeline.records import ChannelQuality, CompressedWindow, Span
from pipeline.whole import write_whole
from training import recipe
from training.corpora import eegmat
from training.corpora.settings import Bids, Eegmat
from training.corpus import Example, make_corpus, sittings
from training.evaluation import measures, systems
from training.evaluation.cells import Answers, Bench, Cell, done, load
from training.evaluation.checks import Check, checks, identical, pairs
from training.evaluation.material import Material, Place
from training.evaluation.part import Part, evenly
from training.evaluation.protocols import PROTOCOLS, NotPossibleError, split
from training.evaluation.settings import Budget, Evaluate, System, quick
from training.evaluation.summary import answers_of, gather, summarise
from training.evaluation.variants import (
    AS_RECORDED,
    SHUFFLED,
    UNCALIBRATED,
    prompts,
    shuffled,
    variant_of,
    variants,
    without_eeg,
)
from training.signals import make_signals

ELECTRODES = ("Fz", "Cz", "Pz", "Oz")
LABELS = ("a", "b", "c")
SYSTEMS_OF_CODES: tuple[System, ...] = ("svm-codes", "logistic-codes")


def example(
    subject: str, label: str, start: float, trial: str, stimulus: str | None, codes: np.ndarray | None = None
) -> Example:
    """A window of 10 s."""
    n = len(ELECTRODES)
    window = CompressedWindow(
        np.full((n, 5), MIDDLE, np.int16) if codes is None else codes.astype(np.int16),
        ELECTRODES,
        "w5-energy/1",
        Span(0, 0, start, start + 10, start, start + 10, 0.0, 0.0),
        ChannelQuality(np.ones(n, dtype=np.bool_), ("",) * n, 1.0),
    )
    return Example(subject, Person(20, "female"), label, window, trial, stimulus)


@pytest.fixture(scope="module")
def corpus() -> list[Example]:
    """Six people, three labels of three clips; a clip is a trial of 30 s; some windows cross a border."""
    rng = np.random.default_rng(0)
    found = []
    for subject in range(6):
        for place, (label, clip) in enumerate(product(LABELS, range(3))):
            for start in np.arange(place * 30.0, place * 30.0 + 28, 4):
                trial = f"{label}{clip}" if start + 10 <= place * 30 + 30 else ""
                codes = rng.normal(MIDDLE + 4 * LABELS.index(label), 2, (len(ELECTRODES), 5))
                found.append(example(f"p{subject}", label, start, trial, f"{label}{clip}", codes.round()))
    return found


def numbers(corpus: list[Example]) -> np.ndarray:
    return np.array([LABELS.index(one.label) for one in corpus])


def shares_samples(one: Example, two: Example) -> bool:
    a, b = one.window.span, two.window.span
    return (
        one.subject == two.subject and a.segment == b.segment and a.start_s < b.end_s and b.start_s < a.end_s
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_only_the_leaky_protocol_shares_samples(corpus: list[Example], protocol: str) -> None:
    folds = split(protocol, corpus, numbers(corpus), 3, 20, 3)
    assert len(folds) == 3
    leaks = 0
    for fold in folds:
        assert len(fold.train) and len(fold.test) and not set(fold.train) & set(fold.test)
        leaks += sum(shares_samples(corpus[i], corpus[j]) for i in fold.test for j in fold.train)
    assert (leaks > 0) == PROTOCOLS[protocol].leaky
    told = [i for fold in folds for i in fold.test]
    assert len(told) == len(set(told))


def test_people_and_clips_are_held_out(corpus: list[Example]) -> None:
    for protocol in ("person-held-out", "person-and-clip-held-out"):
        for fold in split(protocol, corpus, numbers(corpus), 3, 20, 3):
            train, test = ([corpus[i] for i in rows] for rows in (fold.train, fold.test))
            assert not {e.subject for e in train} & {e.subject for e in test}
            assert {e.label for e in test} == set(LABELS)
            if protocol == "person-and-clip-held-out":
                assert not {e.stimulus for e in train} & {e.stimulus for e in test}
    asked = [i for fold in split("person-held-out", corpus, numbers(corpus), 3, 20, 3) for i in fold.test]
    assert sorted(asked) == list(range(len(corpus)))


def test_shifted_windows_are_never_asked_about(corpus: list[Example]) -> None:
    both = [*corpus, *(dataclasses.replace(one, shifted=True) for one in corpus)]
    for protocol in PROTOCOLS:
        for fold in split(protocol, both, numbers(both), 3, 20, 3):
            assert not any(both[i].shifted for i in fold.test)
        if not PROTOCOLS[protocol].leaky:
            assert any(both[i].shifted for i in fold.train)


def test_what_cannot_be_held_out_is_said(corpus: list[Example]) -> None:
    bare = [dataclasses.replace(one, trial="", stimulus=None) for one in corpus]
    for protocol, why in (
        ("trial-held-out", "names no trials"),
        ("person-and-clip-held-out", "no stimulus stands behind"),
    ):
        with pytest.raises(NotPossibleError, match=why):
            split(protocol, bare, numbers(bare), 3, 20, 3)
    one = [dataclasses.replace(e, stimulus=e.label) for e in corpus]
    with pytest.raises(NotPossibleError, match="single clip"):
        split("person-and-clip-held-out", one, numbers(one), 3, 20, 3)


def test_measures_are_those_of_the_textbook() -> None:
    rng = np.random.default_rng(1)
    for n in (2, 3, 9):
        labels, guess = rng.integers(0, n, 200), rng.integers(0, n, 200)
        table = measures.confusion(labels, guess, n)
        assert measures.f1_of(labels, guess, n) == pytest.approx(f1_score(labels, guess, average="macro"))
        assert measures.cohen_kappa(table) == pytest.approx(cohen_kappa_score(labels, guess))
    people = rng.permutation(np.repeat([f"p{i}" for i in range(7)], 30))[:200]
    drawn = measures.Resampled(people, 5, 50)
    again = np.random.default_rng(5)
    names = np.unique(people)
    for value in drawn.f1(labels, guess, 9):
        rows = np.concatenate([np.flatnonzero(people == names[i]) for i in again.integers(0, 7, 7)])
        assert value == pytest.approx(f1_score(labels[rows], guess[rows], average="macro"))


def test_no_answer_counts_as_wrong() -> None:
    labels = np.array([0, 0, 1, 1])
    assert measures.f1_of(labels, np.array([0, -1, 1, 1]), 2) == pytest.approx((2 / 3 + 1) / 2)
    assert measures.f1_of(labels, np.full(4, -1), 2) == 0
    drawn = measures.Resampled(np.array(["a", "b", "a", "b"]), 0, 100)
    told = drawn.scores(labels, np.array([0, -1, 1, 1]), 2)
    assert told.accuracy == 0.75 and told.low <= told.macro_f1 <= told.high


def test_a_temperature_never_sees_the_labels_it_is_used_on() -> None:
    rng = np.random.default_rng(2)
    p = rng.uniform(0.1, 0.9, 3000)
    labels = (rng.random(3000) < p).astype(np.int64)
    logits = 3 * np.stack([np.zeros(3000), np.log(p / (1 - p))], axis=1)
    folds = np.arange(3000) % 5
    told, temperatures = measures.cross_fitted(logits, labels, folds)
    assert all(one == pytest.approx(3, rel=0.15) for one in temperatures.values())
    assert measures.calibration_error(told, labels) < 0.03
    other = np.where(folds == 2, 1 - labels, labels)
    assert measures.cross_fitted(logits, other, folds)[1][2] == temperatures[2]


def test_thirty_seconds_are_thirty_seconds() -> None:
    start = np.array([60.0, 62, 64, 78, 80, 82, 90, 92, 100, 110, 300, 310])
    found = measures.stretches(np.full(12, "p"), [("x",)] * 12, start, start + 10, 30)
    assert [rows.tolist() for rows in found] == [[0, 1, 2, 3, 4], [6, 7, 8, 9], [10, 11]]
    # 300 to 320 s is two thirds of a stretch, just enough; less is dropped.
    assert not measures.stretches(np.full(2, "p"), [("x",)] * 2, np.array([0.0, 2]), np.array([10.0, 12]), 30)
    halves = measures.stretches(np.full(12, "p"), [(i % 2,) for i in range(12)], start, start + 10, 30)
    assert all(len({i % 2 for i in rows}) == 1 for rows in halves)


@pytest.mark.parametrize("system", ["majority", "logistic-codes", "svm-codes"])
def test_baselines_find_what_is_there(corpus: list[Example], system: str) -> None:
    (fold, *_) = split("person-held-out", corpus, numbers(corpus), 3, 20, 3)
    whole = Part(corpus, numbers(corpus), ELECTRODES)
    train, test = whole.take(fold.train), whole.take(fold.test)
    reader = systems.train(system, train, 3, 20, 1)
    told = reader.logits(test)
    assert told.shape == (len(test), 3) and np.isfinite(told).all()
    right = (told.argmax(axis=1) == test.labels).mean()
    assert right > 0.9 if system != "majority" else right == pytest.approx(1 / 3)


def test_shuffled_trials_keep_one_label(corpus: list[Example]) -> None:
    found = shuffled(corpus, LABELS, 20)
    assert len(found) == sum(bool(one.trial) for one in corpus)
    by_trial: dict[tuple[str, str], set[str]] = {}
    for one in found:
        by_trial.setdefault((one.subject, one.trial), set()).add(one.label)
    assert all(len(labels) == 1 for labels in by_trial.values())
    same = np.mean([one.label == one.trial[0] for one in found])
    assert 0.15 < same < 0.55
    assert shuffled(corpus, LABELS, 20) == found or [e.label for e in shuffled(corpus, LABELS, 20)] == [
        e.label for e in found
    ]


def test_a_window_of_500_codes_is_told_in_ten_prompts(corpus: list[Example]) -> None:
    codes = np.arange(2000).reshape(4, 500) % 32
    long = example("p", "a", 0, "t", None, codes)
    parts = prompts(long)
    assert len(parts) == 10
    assert np.array_equal(np.concatenate([part.window.codes for part in parts], axis=1), codes)
    assert prompts(corpus[0]) == [corpus[0]]
    assert without_eeg(corpus[0]).window.codes.shape == (0, 5)


# --- on real recordings --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Three people of eegmat, their corpus and signals."""
    source, out = shared_data("eegmat"), tmp_path_factory.mktemp("evaluation")
    data = out / "data"
    data.mkdir()
    lines = (source / "subjects.csv").read_text().splitlines(keepends=True)
    (data / "subjects.csv").write_text("".join(lines[:4]))
    for line in lines[1:4]:
        for part in (1, 2):
            name = f"{line.split(',')[0]}_{part}.edf"
            (data / name).symlink_to((source / name).resolve())
    whole = recipe.load("eegmat")
    plan = msgspec.structs.replace(whole, folds=3, evaluate=quick(whole.evaluate))
    here = Place(plan, out)
    make_corpus(plan, data, out / "corpus", jobs=1, progress=False)
    for sitting in sittings(plan, data):
        make_signals(sitting, plan.pipeline, here.signals / f"{sitting.name}.npz", here.fingerprint())
    return here


@pytest.fixture(scope="module")
def sessions(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One participant of a BIDS data set who came twice; the second time it is another head's EEG."""
    source, out = shared_data("eegmat"), tmp_path_factory.mktemp("sessions")
    data = out / "data"
    for session, name in (("ses-a", "Subject01"), ("ses-b", "Subject04")):
        folder = data / "sub-01" / session / "eeg"
        folder.mkdir(parents=True)
        for run, rows in ((1, ("0\t65\trest", "70\t50\tcalm")), (2, ("1\t50\tstress",))):
            begin = f"sub-01_{session}_task-sums_run-{run}"
            (folder / f"{begin}_eeg.edf").symlink_to((source / f"{name}_{run}.edf").resolve())
            table = "\n".join(("onset\tduration\ttrial_type", *rows))
            (folder / f"{begin}_events.tsv").write_text(f"{table}\n")
    (data / "participants.tsv").write_text("participant_id\tage\tsex\nsub-01\t18\tF\n")
    kind = Bids(task="sums", emotions={"calm": "calm", "stress": "stress"}, rest="rest")
    plan = msgspec.structs.replace(recipe.load("eegmat"), corpus=kind)
    plan = msgspec.structs.replace(plan, folds=2, evaluate=quick(plan.evaluate))
    here = Place(plan, out)
    make_corpus(plan, data, out / "corpus", jobs=1, progress=False)
    for sitting in sittings(plan, data):
        make_signals(sitting, plan.pipeline, here.signals / f"{sitting.name}.npz", here.fingerprint())
    return here


@pytest.mark.parametrize("which", ["place", "sessions"])
def test_signals_are_those_of_the_codes(which: str, request: pytest.FixtureRequest) -> None:
    """The features kept with the signals, against the same sitting's rest, are the codes of the corpus."""
    from pipeline.calibration import Calibration, quantise
    from pipeline.wavelet import METHODS

    place: Place = request.getfixturevalue(which)
    material = Material(place)
    plain = variant_of(place.recipe, AS_RECORDED)
    examples = material.examples(plain)
    part = material.part(plain, np.arange(len(examples)), np.arange(0), signals=True)
    assert len(part) == len(examples)
    signals = material._signals()
    assert set(signals) == {one.sitting for one in examples}
    for sitting, found in signals.items():
        rest = Calibration(METHODS[place.recipe.pipeline.compression].prior_spread)
        for features, good in zip(found.features[found.rest], found.good[found.rest], strict=True):
            rest.add(features, good)
        assert rest.finish()
        at = {int(start): row for row, start in enumerate(found.start_ms)}
        for i in [i for i, one in enumerate(examples) if one.sitting == sitting][::7]:
            one = examples[i]
            row = at[round(one.window.span.start_s * 1000)]
            codes = quantise(rest.deviations(found.features[row]))[found.good[row]]
            assert np.array_equal(codes.reshape(len(codes), -1), one.window.codes)
            assert np.array_equal(part.waves().covariance[i], found.covariance[row])
            spread = found.waves[found.rest].astype(np.float64).std(axis=(0, 2))
            assert np.allclose(part.waves().scale[i], spread)


def test_two_sessions_of_one_person_are_two_sittings(sessions: Place) -> None:
    """Both clocks begin at zero: what two systems said is matched window by window all the same."""
    examples = Material(sessions).examples(variant_of(sessions.recipe, AS_RECORDED))
    assert {one.subject for one in examples} == {"sub-01"}
    assert {one.sitting for one in examples} == {"sub-01_ses-a", "sub-01_ses-b"}
    starts = [{one.window.span.start_s for one in examples if one.sitting.endswith(end)} for end in "ab"]
    assert starts[0] & starts[1]
    cells = [
        Cell("random-window", AS_RECORDED, system, fold) for system in SYSTEMS_OF_CODES for fold in (0, 1)
    ]
    bench = Bench(sessions)
    for cell in cells:
        bench.do(cell)
    svm, logistic = (answers_of(sessions, [c for c in cells if c.system == s]) for s in SYSTEMS_OF_CODES)
    of = {(part, start): row for row, (part, start) in enumerate(zip(svm.part, svm.start_s, strict=True))}
    assert len(of) == len(svm.label) == len(examples)  # no two windows have one key
    (told,) = (one for one in gather(sessions, cells)[0] if one.system == "logistic-codes")
    rows = [of[key] for key in zip(logistic.part, logistic.start_s, strict=True)]
    assert np.array_equal(svm.label[rows], logistic.label)
    scores = [
        f1_score(logistic.label, a.argmax(1), average="macro") for a in (logistic.logits, svm.logits[rows])
    ]
    assert told.minus_svm is not None and told.minus_svm[0] == pytest.approx(scores[0] - scores[1])
    # One answer for 30 s is never of windows of two sessions.
    assert told.stretch is not None and told.stretches == sum(
        len(measures.stretches(a.subject, [(part,) for part in a.part], a.start_s, a.end_s, 30.0))
        for end in "ab"
        for a in [only(svm, np.char.startswith(svm.part, f"sub-01_ses-{end}"))]
    )


def only(a: Answers, rows: np.ndarray) -> Answers:
    whole = {field.name: getattr(a, field.name) for field in dataclasses.fields(a)}
    return Answers(**{name: value[rows] if value.ndim else value for name, value in whole.items()})


def test_uncalibrated_codes_know_nothing_of_the_person(place: Place) -> None:
    material = Material(place)
    bare = variant_of(place.recipe, UNCALIBRATED)
    examples = material.examples(bare)
    subjects = np.array([one.subject for one in examples])
    first, second, third = sorted(set(subjects))
    rows = np.flatnonzero(subjects == first)[:5]

    def codes(*people: str) -> np.ndarray:
        train = np.flatnonzero(np.isin(subjects, people))
        part = material.part(bare, rows, train, signals=False)
        return np.stack([one.window.codes for one in part.examples])

    assert not np.array_equal(codes(second), codes(third))
    assert not np.array_equal(codes(second, third), np.stack([examples[i].window.codes for i in rows]))


@pytest.mark.parametrize("system", ["logistic-bands", "svm-bands", "tangent", "tangent-rest", "eegnet"])
def test_readers_of_signals_learn_the_people_they_saw(place: Place, system: str) -> None:
    material = Material(place)
    plain = variant_of(place.recipe, AS_RECORDED)
    rows = np.arange(len(material.examples(plain)))
    whole = material.part(plain, rows, rows, signals=True)
    reader = systems.train(system, whole, 2, 20, 120)
    table = measures.confusion(whole.labels, reader.logits(whole).argmax(axis=1), 2)
    assert (np.diagonal(table) / table.sum(axis=1)).mean() > 0.8


def test_a_cell_is_done_once_and_whole(place: Place) -> None:
    bench = Bench(place)
    cells = [
        Cell("person-held-out", AS_RECORDED, system, k)
        for system in ("svm-codes", "majority")
        for k in range(3)
    ]
    for cell in cells:
        assert not done(place, cell)
        bench.do(cell)
        assert done(place, cell)
    figures, seconds = gather(place, cells)
    assert {one.system for one in figures} == {"svm-codes", "majority"}
    (svm,) = (one for one in figures if one.system == "svm-codes")
    assert svm.people == 3 and svm.folds == 3 and svm.stretches >= 9
    assert set(seconds) == {"person-held-out/as-recorded/svm-codes", "person-held-out/as-recorded/majority"}
    before = load(place, cells[0]).logits
    path = cells[0].path(place.folder)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])  # as a full disk would leave what was not written whole
    assert not done(place, cells[0])
    bench.do(cells[0])
    assert np.array_equal(load(place, cells[0]).logits, before)
    other = Place(msgspec.structs.replace(place.recipe, seed=21), place.out)
    assert not done(other, cells[0])


def test_a_bundle_is_told_the_same_as_before(place: Place) -> None:
    rng = np.random.default_rng(3)
    people = np.repeat(["a", "b", "c", "d"], 50)
    labels = np.tile(np.repeat([0, 1], 25), 4)
    logits = rng.normal(0, 1, (200, 2)) + 1.5 * np.eye(2)[labels]
    folds = np.repeat([0, 1, 0, 1], 50)
    told = summarise(place.recipe, labels, people, logits, labels, folds)
    assert told.svm.macro_f1 == 1 and told.people == 4 and told.vote_macro_f1 == 1
    assert told.model.macro_f1 == pytest.approx(f1_score(labels, logits.argmax(axis=1), average="macro"))
    assert told.model_minus_svm[0] == pytest.approx(told.model.macro_f1 - 1)
    fields = set(msgspec.to_builtins(told))
    assert fields >= {"temperature", "calibration_error", "per_person_low", "montages", "windows", "folds"}


# --- checks that can fail ------------------------------------------------------------------------


def simulated() -> recipe.Recipe:
    return recipe.load("simulated")


def answers(place: Place, skill: Callable[[int, str, np.random.Generator], int]) -> Answers:
    """Of 24 people under people and clips held out, three clips a label; skill: label, clip → answer."""
    rng = np.random.default_rng(4)
    labels = place.recipe.labels
    rows = [(p, k, c, w) for p in range(24) for k in range(len(labels)) for c in range(3) for w in range(3)]
    rows = [row for row in rows if row[2] == row[0] % 3]
    said = np.array([skill(k, f"{labels[k]}{c}", rng) for _, k, c, _ in rows])
    return Answers(
        subject=np.array([f"p{p:02d}" for p, *_ in rows]),
        trial=np.array([f"{k}-{c}" for _, k, c, _ in rows]),
        part=np.array([f"0/{labels[k]}/{labels[k]}{c}" for _, k, c, _ in rows]),
        label=np.array([k for _, k, _, _ in rows]),
        start_s=np.array([10.0 * w for *_, w in rows]),
        end_s=np.array([10.0 * w + 10 for *_, w in rows]),
        logits=np.eye(len(labels))[said] + rng.normal(0, 0.1, (len(rows), len(labels))),
        fold=np.array([p % 3 for p, *_ in rows]),
        trained_on=np.array(1),
        seconds=np.array(0.0),
    )


def judged(place: Place, monkeypatch: pytest.MonkeyPatch, variant: str, told: Answers) -> list[Check]:
    """The real checks, on answers of our making."""
    monkeypatch.setattr("training.evaluation.checks.answers_of", lambda *_: told)
    return list(checks(place, [Cell("person-and-clip-held-out", variant, "svm-codes", 0)], quick=False))


def test_shuffled_eeg_that_is_found_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Place(simulated(), tmp_path)
    guessing = answers(here, lambda k, clip, rng: int(rng.integers(9)))
    (fair,) = judged(here, monkeypatch, SHUFFLED, guessing)
    assert fair.passed and fair.line().startswith("PASS")
    leaking = answers(here, lambda k, clip, rng: k if rng.random() < 0.3 else int(rng.integers(9)))
    (unfair,) = judged(here, monkeypatch, SHUFFLED, leaking)
    assert unfair.passed is False and "FAIL" in unfair.line()


def test_known_effects_are_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Place(simulated(), tmp_path)
    labels = here.recipe.labels
    twin = {labels.index(one): labels.index(two) for one, two in (("anger", "disgust"), ("amusement", "joy"))}
    twin |= {two: one for one, two in twin.items()}

    def honest(k: int, clip: str, rng: np.random.Generator) -> int:
        return twin[k] if k in twin and rng.random() < 0.5 else k

    found, same = judged(here, monkeypatch, AS_RECORDED, answers(here, honest))
    assert found.passed and same.passed
    # Identical classes told apart can only come from what should not be there.
    found, same = judged(here, monkeypatch, AS_RECORDED, answers(here, lambda k, clip, rng: k))
    assert found.passed and same.passed is False
    # And a reader that finds nothing has missed what was made different.
    blind = answers(here, lambda k, clip, rng: int(rng.integers(9)))
    found, same = judged(here, monkeypatch, AS_RECORDED, blind)
    assert found.passed is False and same.passed
    assert len(pairs(here, blind)) == 36 and identical(here, blind)[1] == 6


# --- settings ------------------------------------------------------------------------------------


def test_settings_say_what_is_compared() -> None:
    plan = recipe.load("eegmat")
    names = [variant.name for variant in variants(plan)]
    assert names[0] == AS_RECORDED and {"shuffled", "demographics", "uncalibrated", "w500x10-approx"} <= set(
        names
    )
    assert sum(name.startswith("montage: ") for name in names) == len(plan.montages)
    short = quick(plan.evaluate)
    assert all(budget.train_windows for budget in short.budgets.values())
    assert Evaluate().budgets["shuffled"] == Budget(epochs=4)
    assert evenly(10, 3).tolist() == [0, 4, 9] and len(evenly(10, 0)) == 10


def test_eegmat_sittings_are_where_signals_look(shared_data: Callable[[str], Path]) -> None:
    found = eegmat.sittings(Eegmat(), shared_data("eegmat"))
    assert len({sitting.name for sitting in found}) == len(found) == 23


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PipelineError, match="cannot be written"):
        write_whole(tmp_path / "file" / "x.npz", b"content")
