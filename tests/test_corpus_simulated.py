"""The simulated corpus: FACED to every reader, true to its table."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from training import recipe
from training.corpora.clips import EMOTIONS
from training.corpora.settings import Simulated
from training.corpora.simulated import truth
from training.corpora.simulated_people import EFFECTS, IDENTICAL, Individual
from training.corpus import CorpusError, make_corpus, sittings


@pytest.fixture(scope="module")
def small() -> recipe.Recipe:
    """Nine classes with a calibration that a few seconds of a clip fill."""
    whole = recipe.load("simulated")
    return msgspec.structs.replace(
        whole,
        corpus=Simulated(n_people=2, seconds=16.0),
        pipeline=msgspec.structs.replace(whole.pipeline, calibration=20.0),
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_simulated_corpus_is_faced_to_every_reader(small: recipe.Recipe, tmp_path: Path) -> None:
    data = tmp_path / "data"
    corpus = make_corpus(small, data, tmp_path / "corpus", jobs=1, progress=False)
    assert {example.label for example in corpus.examples} == set(small.labels)
    assert {e.stimulus for e in corpus.examples} == {
        f"clip-{n:02d}" for n in range(1, 29) if n not in (13, 14)
    }
    assert all(example.trial == example.stimulus for example in corpus.examples)
    assert all(e.person.age is not None and e.person.gender in ("female", "male") for e in corpus.examples)
    # Without artefacts the neutral clips stay near the middle: the clips of rest calibrate.
    neutral = np.concatenate([e.window.codes.ravel() for e in corpus.examples if e.label == "neutral"])
    assert abs(neutral.mean() - 15.5) < 2.5

    before = contents(data)
    written = sorted(name for name in before if name.endswith(".pkl"))
    assert written == ["Processed_data/sub000.pkl", "Processed_data/sub001.pkl"]
    (data / written[1]).unlink()
    more = msgspec.structs.replace(small, corpus=Simulated(n_people=3, seconds=16.0))
    assert len(sittings(more, data)) == 3  # what is missing is made, and others stay
    assert contents(data)[written[1]] == before[written[1]]
    assert (data / "Processed_data" / "sub002.pkl").is_file()
    other = msgspec.structs.replace(small, corpus=Simulated(n_people=2, seconds=16.0, seed=2))
    with pytest.raises(
        CorpusError, match="simulated under other settings: remove it, or give another --data"
    ):
        sittings(other, data)


def test_the_truth_of_the_simulation_says_what_is_identical() -> None:
    told = truth(Simulated())
    assert told.effects == EFFECTS and told.identical == IDENTICAL
    assert all(EFFECTS[one] == EFFECTS[two] for one, two in IDENTICAL)
    others = [effects for name, effects in EFFECTS.items() if name not in ("disgust", "joy")]
    assert all(one != two for i, one in enumerate(others) for two in others[:i])


def test_what_is_different_is_found_and_what_is_identical_is_not() -> None:
    """By log-power in bands against the clips of rest, people and clips held out."""
    settings = Simulated(n_people=10, seconds=12.0)
    hz = np.fft.rfftfreq(3000, 1 / 250)
    bands = [(hz >= low) & (hz < high) for low, high in ((2, 4), (4, 8), (8, 16), (16, 31), (31, 45))]
    features, labels, people, order = [], [], [], []
    for number in range(settings.n_people):
        power = np.abs(np.fft.rfft(Individual(settings, number).clips()[:, :30])) ** 2
        log = np.log(np.stack([power[..., band].mean(axis=2) for band in bands], axis=2)).reshape(28, -1)
        features.append(log - log[12:14].mean(axis=0))
        labels += EMOTIONS
        people += [number] * 28
        order += [EMOTIONS[:clip].count(emotion) for clip, emotion in enumerate(EMOTIONS)]
    x, y, who, nth = np.concatenate(features), np.array(labels), np.array(people), np.array(order)

    def accuracy(one: str, two: str) -> float:
        here, right = np.isin(y, [one, two]), []
        for person in range(0, settings.n_people, 2):
            for clip in range(3):
                test = here & np.isin(who, [person, person + 1]) & (nth == clip)
                train = here & ~np.isin(who, [person, person + 1]) & (nth != clip)
                model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5).fit(x[train], y[train])
                right += list(model.predict(x[test]) == y[test])
        return float(np.mean(right))

    for one, two in (("fear", "sadness"), ("fear", "inspiration"), ("anger", "joy")):
        assert accuracy(one, two) > 0.75
    for one, two in IDENTICAL:
        # Sixty answers on six clips are a coarse figure; the point is the distance to those above.
        assert 0.35 < accuracy(one, two) < 0.6

    # Clips of one emotion are known from other people, which is why they have to be held out as well.
    right = []
    for emotion in set(EMOTIONS):
        here = y == emotion
        for person in range(0, settings.n_people, 2):
            mine = np.isin(who, [person, person + 1])
            model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5).fit(
                x[here & ~mine], nth[here & ~mine]
            )
            right += list(model.predict(x[here & mine]) == nth[here & mine])
    assert np.mean(right) > 0.45  # a third is chance, with a standard error of 0.03


def test_rest_has_to_fill_the_calibration(small: recipe.Recipe, tmp_path: Path) -> None:
    for rest, told in (
        ((13,), "1 clips of 16 s are less than the calibration of 20 s"),
        ((13, 13), "name neutral clips"),
        ((1, 2), "name neutral clips"),
        ((13, 14, 15, 16), "leave at least one neutral clip"),
    ):
        other = msgspec.structs.replace(small, corpus=Simulated(n_people=2, seconds=16.0, rest=rest))
        with pytest.raises(CorpusError, match=told):
            sittings(other, tmp_path / "none")
    assert not (tmp_path / "none").exists()
