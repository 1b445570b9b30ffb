"""Data sets in their own layouts, whole and broken."""

from __future__ import annotations

import csv
import os
import pickle
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from edfio import Bdf, BdfSignal, EdfAnnotation
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import RecordingError
from pipeline.prompt import Person
from training import recipe
from training.corpora import clips, faced, faced_raw
from training.corpora.settings import Bids, CorpusSettings, Faced, FacedRaw, Table
from training.corpus import CorpusError, Example, examples, make_corpus, sittings

SHAPE = (28, 32, 7500)


def of_kind(name: str, corpus: CorpusSettings, **pipeline: Any) -> recipe.Recipe:
    whole = recipe.load(name)
    return msgspec.structs.replace(
        whole, corpus=corpus, pipeline=msgspec.structs.replace(whole.pipeline, **pipeline)
    )


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Correlated noise of the size of EEG, µV, float32."""
    white = np.random.default_rng(seed).standard_normal(shape, np.float32) * 8
    return white[..., :1] + np.cumsum(white, axis=-1) * 0.05 + white * 0.3


def played(plan: recipe.Recipe, data: Path, subject: int = 0) -> list[Example]:
    return list(examples(sittings(plan, data)[subject], plan.pipeline))


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FACED of two people: one in µV, float64, one in volts."""
    folder = tmp_path_factory.mktemp("faced")
    (folder / "Processed_data").mkdir()
    data = noise(SHAPE)
    for name, array in (("sub000", data.astype(np.float64)), ("sub001", data * np.float32(1e-6))):
        (folder / "Processed_data" / f"{name}.pkl").write_bytes(pickle.dumps(array, protocol=3))
    (folder / "Recording_info.csv").write_text(
        "sub,Gender,Age,Cohort ,Sample_rate,Unit\nsub000,F,21,1,1000,uV\nsub001,M,34,2,250,V\n"
    )
    return folder


def test_faced_processed(processed: Path) -> None:
    plan = recipe.load("faced-9")
    one, two = played(plan, processed), played(plan, processed, 1)
    assert one[0].person == Person(21, "female") and two[0].person == Person(34, "male")
    assert (one[0].subject, two[0].subject) == ("sub000", "sub001")
    # Nine windows of ten seconds behind four of warm-up; the clips of rest give none.
    assert len(one) == 26 * 9
    seen = {example.stimulus: example.label for example in one}
    assert seen["clip-01"] == "anger" and seen["clip-28"] == "tenderness" and seen["clip-15"] == "neutral"
    assert "clip-13" not in seen and "clip-14" not in seen
    assert set(seen.values()) == set(plan.labels)
    assert set(one[0].window.channels) <= set(clips.CHANNELS)
    # Volts and microvolts of the same signal are the same codes, but for rounding.
    equal = [
        np.array_equal(a.window.codes, b.window.codes)
        for a, b in zip(one, two, strict=True)
        if a.window.channels == b.window.channels
    ]
    assert np.mean(equal) > 0.95 and len(equal) > 200
    three = played(recipe.load("faced-3"), processed / "Processed_data")
    assert [e.label for e in three if e.stimulus == "clip-01"] == ["negative"] * 9


def test_faced_groups_are_the_published_ones() -> None:
    assert len(clips.EMOTIONS) == len(clips.VALENCES) == 28
    assert [clips.EMOTIONS.count(e) for e in dict.fromkeys(clips.EMOTIONS)] == [3, 3, 3, 3, 4, 3, 3, 3, 3]
    assert len(set(clips.CHANNELS)) == 30
    for name in ("faced-9", "faced-3"):
        plan = recipe.load(name)
        assert isinstance(plan.corpus, Faced)
        assert {clips.label_of(n, plan.corpus.classes) for n in range(1, 29)} == set(plan.labels)


class Hostile:
    """What runs `code` when it is unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: object) -> None:
        self._call = call, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self._call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_hostile_pickles_run_nothing(tmp_path: Path, protocol: int) -> None:
    path, traces = tmp_path / "sub000.pkl", tmp_path / "ran"
    for hostile in (
        Hostile(os.system, f"touch {traces}"),
        Hostile(eval, f"open({str(traces)!r}, 'w')"),
        Hostile(Path.touch, traces),
        [np.zeros(3), {"data": Hostile(os.mkdir, str(traces))}],
        np.array([Hostile(os.mkdir, str(traces))], dtype=object),
    ):
        path.write_bytes(pickle.dumps(hostile, protocol=protocol))
        with pytest.raises(CorpusError, match=r"sub000\.pkl: names .*refused, nothing of it was run"):
            faced.load_array(path)
        assert not traces.exists()
    pickle.loads(pickle.dumps(Hostile(os.mkdir, str(traces)), protocol=protocol))
    assert traces.exists()  # an open door would have been seen


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_damage_to_a_pickle_is_one_line(data: st.DataObject) -> None:
    whole = bytearray(pickle.dumps(np.arange(12.0).reshape(3, 4), protocol=data.draw(st.integers(0, 5))))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    whole = whole[: data.draw(st.integers(0, len(whole)))]
    with tempfile.NamedTemporaryFile(suffix=".pkl") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy, about odd types
        Path(file.name).write_bytes(whole)
        try:
            found = faced.load_array(Path(file.name))
        except CorpusError as why:
            assert "\n" not in str(why)
        else:
            assert found.dtype.kind == "f"


def test_faced_that_is_not_whole_is_one_line(processed: Path, tmp_path: Path) -> None:
    plan = recipe.load("faced-9")
    path = tmp_path / "sub000.pkl"
    whole = (processed / "Processed_data" / "sub001.pkl").read_bytes()
    data = pickle.loads(whole)

    def refused(content: object, told: str) -> None:
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
        with pytest.raises(CorpusError, match=told) as complaint:
            make_corpus(plan, tmp_path, tmp_path / "corpus", jobs=1, progress=False)
        assert "\n" not in str(complaint.value) and "sub000.pkl" in str(complaint.value)

    refused(whole[: len(whole) // 2], "truncated or damaged, no pickle")
    refused(b"", "truncated or damaged, no pickle")
    refused(data[:27], r"has the shape \(27, 32, 7500\), FACED's is \(28, 32, 7500\)")
    refused(data[:, :, :7000], r"has the shape \(28, 32, 7000\)")
    refused({"data": [1, 2]}, "holds dict instead of an array")
    refused(np.array(["a"]), "holds an array of <U1 instead")
    holes = data.copy()
    holes[4, 2, 100:200] = np.nan
    refused(holes, "clip 5, Fz: holds what is no number")
    refused(data * np.float32(1e9), "that is EEG neither in µV nor in V")
    refused(np.zeros(SHAPE, np.float32), "that is EEG neither in µV nor in V")
    path.rename(tmp_path / "subject0.pkl")
    with pytest.raises(CorpusError, match=r"is called neither sub000\.pkl nor alike"):
        sittings(plan, tmp_path)
    (tmp_path / "subject0.pkl").unlink()
    with pytest.raises(CorpusError, match=r"no subNNN\.pkl here: give the folder of FACED"):
        sittings(plan, tmp_path)
    (tmp_path / "sub000.pkl").write_bytes(whole)
    (tmp_path / "Recording_info.csv").write_text("sub,Sex\nsub000,F\n")
    with pytest.raises(CorpusError, match="needs the columns sub, Gender, Age"):
        sittings(plan, tmp_path)


def write_bdf(path: Path, data: np.ndarray, rate: int, names: tuple[str, ...], unit: str = "uV") -> None:
    signals = [
        BdfSignal(row, rate, label=name, physical_dimension=unit, physical_range=(-2000.0, 2000.0))
        for row, name in zip(data.astype(np.float64), names, strict=True)
    ]
    Bdf(signals).write(path)


def write_marks(path: Path, marks: list[tuple[float, str]], seconds: int) -> None:
    """As Neuracle's recorder: one channel without content, and annotations."""
    empty = BdfSignal(np.zeros(seconds), 1, label="Empty Event Data", physical_range=(-1, 1))
    Bdf([empty], annotations=[EdfAnnotation(at, None, text) for at, text in marks]).write(path)


SHOWN = (17, 1, 13, 14, 15)  # in the order of showing: rest comes neither first nor last
CLIP_S = 38


def raw_marks() -> list[tuple[float, str]]:
    marks = [(0.5, "100"), (0.7, "Start Impedance")]
    for place, clip in enumerate(SHOWN):
        begin = 5.0 + place * (CLIP_S + 2)
        marks += [(begin - 0.2, str(clip)), (begin, "101"), (begin + CLIP_S, "102")]
    return marks


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faced-raw")
    person = folder / "Data" / "sub007"
    person.mkdir(parents=True)
    seconds = 10 + len(SHOWN) * (CLIP_S + 2)
    # The first cohort's channels stand in another order, among them the references.
    names = ("A1", *reversed(clips.CHANNELS), "A2")
    write_bdf(person / "data.bdf", noise((32, seconds * 1000)), 1000, names)
    write_marks(person / "evt.bdf", raw_marks(), seconds)
    (folder / "Recording_info.csv").write_text(
        "sub,Gender,Age,Cohort ,Sample_rate,Unit\nsub007,M,25,1,1000,uV\n"
    )
    return folder


def test_faced_raw(raw: Path, tmp_path: Path) -> None:
    plan = of_kind("faced-3", FacedRaw(classes=3))
    corpus = make_corpus(plan, raw, tmp_path, jobs=1, progress=False)
    found = [(example.stimulus, example.label) for example in corpus.examples]
    # The last 30 s of each, behind four of the same clip for the filters; rest is played first and left out.
    assert found == [
        *[("clip-17", "positive")] * found.count(("clip-17", "positive")),
        *[("clip-01", "negative")] * found.count(("clip-01", "negative")),
        *[("clip-15", "neutral")] * found.count(("clip-15", "neutral")),
    ]
    assert len(found) >= 3 * 10
    assert corpus.examples[0].person == Person(25, "male")
    assert "sub007: clip-02 is not marked" in corpus.notes and len(corpus.notes) == 28 - len(SHOWN)
    playlist = sittings(plan, raw)[0].read()
    assert playlist.recordings[0].channels == clips.CHANNELS
    assert [s.trial for s in playlist.stretches] == ["clip-13", "clip-14", "clip-17", "clip-01", "clip-15"]
    assert [s.start for s in playlist.stretches] == [4.0] * 5
    whole = faced_raw.open_recording(raw / "Data" / "sub007" / "data.bdf").segments[0].data
    begin = round(1000 * (5.0 + 2 * (CLIP_S + 2) + CLIP_S - 30))
    fp1 = playlist.recordings[0].segments[0].data[0, 4000:]
    assert np.array_equal(fp1, whole[30, begin : begin + 30_000])


def test_faced_raw_marks_that_cannot_be_trusted() -> None:
    def told(*marks: tuple[float, str]) -> tuple[list[tuple[int, float, float]], list[str]]:
        shown, notes = faced_raw.spans(marks)
        return [(s.clip, s.begin, s.end) for s in shown], [n for n in notes if "is not marked" not in n]

    plain = (1.0, "7"), (2.0, "101"), (50.0, "102")
    assert told(*plain) == ([(7, 2.0, 50.0)], [])
    assert told((0.0, "100"), (0.5, "Stop Impedance"), *plain, (60.0, "202")) == ([(7, 2.0, 50.0)], [])
    shown, notes = told((0.0, "101"), *plain)
    assert shown == [(7, 2.0, 50.0)] and notes == ["a clip begins at 0.0 s without a number: left out"]
    assert told((1.0, "7"), (2.0, "101"), (3.0, "101"), (50.0, "102"))[0] == []
    assert told((50.0, "102"))[0] == [] and told((1.0, "7"), (2.0, "101"))[0] == []
    shown, notes = told(*plain, *((100 + at, text) for at, text in plain))
    assert shown == [] and notes == ["clip-07 is marked more than once: left out"]


def test_faced_raw_that_is_not_whole_is_one_line(raw: Path, tmp_path: Path) -> None:
    plan = of_kind("faced-3", FacedRaw(classes=3))
    person = tmp_path / "Data" / "sub007"
    person.mkdir(parents=True)
    for name in ("data.bdf", "evt.bdf"):
        (person / name).write_bytes((raw / "Data" / "sub007" / name).read_bytes())

    def refused(told: str) -> None:
        with pytest.raises((CorpusError, RecordingError), match=told):
            played(plan, tmp_path)

    (person / "evt.bdf").rename(person / "other")
    refused(r"evt\.bdf is missing: fetch it again")
    (person / "evt.bdf").write_bytes(b"nothing of the kind")
    refused(r"evt\.bdf: no marks can be read")
    write_marks(person / "evt.bdf", [m for m in raw_marks() if m[1] != "13"], 100)
    refused("clip-13 cannot be told from the marks, and serves as rest")
    late = [(at + 100, text) for at, text in raw_marks()]
    write_marks(person / "evt.bdf", late, 400)
    refused("it has no samples there")
    (person / "data.bdf").write_bytes((person / "data.bdf").read_bytes()[:-5000])
    refused(r"data\.bdf: truncated")
    (person / "data.1.bdf").touch()
    refused(r"data\.1\.bdf: a recording in several files")


@pytest.fixture(scope="module")
def table(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    rows = ["file,start,end,subject,label,age,gender,stimulus"]
    for name, age in (("Subject01", 18), ("Subject04", 17)):
        for part in (1, 2):
            (folder / f"{name}_{part}.edf").symlink_to(shared_data(f"eegmat/{name}_{part}.edf").resolve())
        rows += [
            f"{name}_2.edf,,,{name},stress,{age},F,sums",
            f"{name}_1.edf,0,70,{name},rest,{age},F,",
            f"{name}_1.edf,80,120,{name},calm,{age},F,",
            f"{name}_1.edf,120,170,{name},calm,{age},F,",
        ]
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_table_of_labels(table: Path) -> None:
    plan = of_kind("eegmat", Table())
    found = played(plan, table)
    trials = list(dict.fromkeys((e.trial, e.label, e.stimulus) for e in found))
    # Rest is played first though it stands second; the others in the table's order.
    assert trials == [
        ("Subject01_2-0", "stress", "sums"),
        ("Subject01_1-80", "calm", None),
        ("Subject01_1-120", "calm", None),
    ]
    assert found[0].person == Person(18, "female")
    # Windows begin with their stretch: 40 s, ten long, every two; the resampler's delay may cost one.
    assert [e.trial for e in found].count("Subject01_1-80") in (15, 16)
    assert {example.subject for example in played(plan, table, 1)} == {"Subject04"}


def test_a_table_that_is_wrong_is_one_line(table: Path, tmp_path: Path) -> None:
    plan = of_kind("eegmat", Table())
    for name in ("Subject01_1.edf", "Subject01_2.edf"):
        (tmp_path / name).symlink_to((table / name).resolve())
    head = "file,start,end,subject,label,age,gender\n"
    rest = "Subject01_1.edf,0,70,a,rest,20,F\n"

    def refused(text: str, told: str) -> None:
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises((CorpusError, RecordingError), match=told) as complaint:
            played(plan, tmp_path)
        assert "\n" not in str(complaint.value)

    refused("file,start,end\n", "has no column subject, label")
    refused(head + "Subject01_1.edf,0,70,a,,20,F\n", "line 2: no label: name what it shows")
    refused(head + "Subject01_1.edf,0,70,,calm,20,F\n", "line 2: no subject")
    refused(head + "none.edf,0,70,a,calm,20,F\n", r"line 2: none\.edf is not there")
    refused(head + "Subject01_1.edf,70,0,a,calm,20,F\n", "start 70 s and end 0 s are no stretch")
    refused(head + "Subject01_1.edf,x,7,a,calm,20,F\n", "start and end are seconds, got x, 7")
    refused(head + rest + "Subject01_1.edf,80,99,a,calm,21,F\n", "a has another age or gender than before")
    refused(head + "Subject01_1.edf,0,70,a,calm,200,F\n", "line 2: age must be 0 to 120")
    refused(head + "Subject01_1.edf,0,70,a,calm,20,x\n", "gender is one of female, male, other")
    refused(head + rest.replace("70", "50"), "50 s labelled as rest, the calibration takes 60 s")
    refused(head + rest + "Subject01_1.edf,80,999,a,calm,20,F\n", "80 s to 999 s: it has no samples there")
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(CorpusError, match=r"labels\.csv: cannot be read"):
        sittings(plan, tmp_path)


def test_bids(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sub-01" / "ses-a" / "eeg"
    folder.mkdir(parents=True)
    for run in (1, 2):
        name = f"sub-01_ses-a_task-sums_run-{run}"
        (folder / f"{name}_eeg.edf").symlink_to((table / f"Subject01_{run}.edf").resolve())
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsex\nsub-01\t18\tF\nsub-02\tn/a\tn/a\n")

    def events(run: int, *rows: tuple[object, ...]) -> None:
        with (folder / f"sub-01_ses-a_task-sums_run-{run}_events.tsv").open("w", newline="") as file:
            csv.writer(file, delimiter="\t").writerows([("onset", "duration", "trial_type"), *rows])

    events(1, (0, 65, "eyes_open"), (70, 50, "waiting"), (64.5, 0, "key"))
    events(2, (1, 50, "subtract"))
    emotions = {"waiting": "calm", "subtract": "stress"}
    plan = of_kind("eegmat", Bids(task="sums", emotions=emotions, rest="eyes_open"))
    corpus = make_corpus(plan, tmp_path, tmp_path / "corpus", jobs=1, progress=False)
    assert {(e.label, e.subject) for e in corpus.examples} == {("calm", "sub-01"), ("stress", "sub-01")}
    assert corpus.examples[0].person == Person(18, "female")
    assert (tmp_path / "corpus" / "sub-01_ses-a.npz").is_file()

    for rows, told in (
        ([(0, "n/a", "eyes_open")], "onset '0', duration 'n/a': not seconds"),
        ([(0, 0, "eyes_open")], "0 s from 0 s are no stretch"),
    ):
        events(1, *rows)
        with pytest.raises(CorpusError, match=told):
            sittings(plan, tmp_path)
    other = of_kind("eegmat", Bids(task="sums", column="what", emotions=emotions, rest="eyes_open"))
    with pytest.raises(CorpusError, match="has no column what"):
        sittings(other, tmp_path)
    other = of_kind("eegmat", Bids(task="none", emotions=emotions, rest="eyes_open"))
    with pytest.raises(CorpusError, match=r"no recording here is called .*task-none"):
        sittings(other, tmp_path)
    (tmp_path / "participants.tsv").unlink()
    with pytest.raises(CorpusError, match=r"participants\.tsv: cannot be read"):
        sittings(plan, tmp_path)


def test_other_kinds_of_recordings_are_read_by_mne(table: Path, tmp_path: Path) -> None:
    """The same samples from a FIF file, which only MNE reads, give the same windows."""
    mne = pytest.importorskip("mne")
    plan = of_kind("eegmat", Table())
    rows = (table / "labels.csv").read_text().splitlines()[:5]
    for part in (1, 2):
        raw = mne.io.read_raw_edf(table / f"Subject01_{part}.edf", preload=True, verbose="ERROR")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that differ from MNE's own
            raw.save(tmp_path / f"Subject01_{part}.fif", fmt="double", verbose="ERROR")
    (tmp_path / "labels.csv").write_text("\n".join(rows).replace(".edf", ".fif") + "\n")
    one, two = played(plan, table), played(plan, tmp_path)
    equal = [np.array_equal(a.window.codes, b.window.codes) for a, b in zip(one, two, strict=True)]
    assert np.mean(equal) > 0.95  # rounding between volts and microvolts may tip a code
    (tmp_path / "Subject01_2.fif").write_bytes(b"no such thing")
    with pytest.raises(CorpusError, match=r"Subject01_2\.fif: MNE cannot read it"):
        played(plan, tmp_path)
