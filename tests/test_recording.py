"""Recording: real outlets, a recorder that is killed, full disks; read back by pyxdf and by the house."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyxdf
from broker import Mosquitto, listening
from node import bundle, command, configuration, reader, serving, stream
from small_disk import fill, small_disk
from waiting import until

from daemon.alarms import Alarms
from daemon.labelling import Labelling
from daemon.recorder import Recorder
from daemon.recording_file import RecordingFile
from daemon.recording_settings import Recording as Settings
from daemon.shelf import Shelf, safe
from pipeline.errors import RecordingError
from pipeline.prompt import Person
from pipeline.reader import Reader
from pipeline.recordings import open_recording
from pipeline.recordings.xdf import EVENTS
from pipeline.recordings.xdf_chunks import whole_bytes
from pipeline.records import Chunk

ROOT = Path(__file__).parents[1]


def chunk(first: int, n: int = 25, segment: int = 0, **more: Any) -> Chunk:
    """Channel 0 carries the sample's number; stamps are irregular, on a clock that is 1000 s behind."""
    stamps = 5000.0 + (first + np.arange(n)) / 250 + 1e-4 * np.sin(np.arange(first, first + n))
    data = np.random.default_rng(first).normal(0, 20, (4, n)).astype(np.float32)
    data[0] = np.arange(first, first + n)
    about: dict[str, Any] = {
        "time": time.time(),
        "time_uncertainty": 0.0,
        "arrived": time.monotonic(),
        "channels": ("Fp1", "Fp2", "C3", "C4"),
        "rate": 250.0,
        "stamps": stamps,
        "offset": 1000.0,
    }
    return Chunk(data, first, segment=segment, **(about | more))


def streams(path: Path, **how: Any) -> tuple[dict[str, Any], list[tuple[float, dict[str, Any]]]]:
    """The EEG as pyxdf reads it, and the events with their stamps."""
    found, _ = pyxdf.load_xdf(path, dejitter_timestamps=False, **how)
    eeg = next(one for one in found if one["info"]["type"] == ["EEG"])
    events = next(one for one in found if one["info"]["type"] == [EVENTS])
    told = [json.loads(text) for (text,) in events["time_series"]]
    return eeg, list(zip(events["time_stamps"], told, strict=True))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "recordings", Settings(min_free_mib=1))


def test_samples_stamps_gaps_and_labels_come_back_as_they_were(shelf: Shelf) -> None:
    chunks = [chunk(n * 25) for n in range(40)] + [chunk(1500 + n * 25, segment=1) for n in range(40)]
    with Recorder("bed-1", "pseudo-7", shelf, Alarms()) as recorder:
        for one in chunks:
            recorder.put(one)
        recorder.note("label", time.time(), label="calm", p={"calm": 0.1 + 0.2, "stress": 1e-17})
    assert (recorder.recorded, recorder.unrecorded, recorder.files) == (2000, 0, 1)
    (path,) = shelf.folder.iterdir()
    assert path.name.startswith("pseudo-7_bed-1_2")
    assert path.stat().st_mode & 0o777 == 0o600
    eeg, events = streams(path, synchronize_clocks=False)
    assert np.array_equal(eeg["time_series"].T, np.concatenate([c.data for c in chunks], axis=1))
    assert np.array_equal(eeg["time_stamps"], np.concatenate([c.stamps for c in chunks]))
    assert eeg["clock_values"] == [1000.0] * len(eeg["clock_values"])
    assert eeg["footer"]["info"]["sample_count"] == ["2000"]
    segments = [told for _, told in events if told["event"] == "segment"]
    assert [(s["sample"], s["lost"], s["segment"]) for s in segments] == [(0, 0, 0), (1000, 500, 1)]
    (label,) = [told for _, told in events if told["event"] == "label"]
    assert label["p"] == {"calm": 0.1 + 0.2, "stress": 1e-17}
    recording = open_recording(path)
    assert [(s.start, s.n_samples) for s in recording.segments] == [(0.0, 1000), (6.0, 1000)]
    assert recording.channels == ("Fp1", "Fp2", "C3", "C4") and recording.warnings == ()
    assert recording.start_utc is not None
    # Its stamps are of the host's monotonic clock once their offset is added.
    assert recording.start_utc == pytest.approx(6000 + time.time() - time.monotonic(), abs=0.01)


def test_a_gap_too_short_for_stamps_is_kept(shelf: Shelf) -> None:
    with Recorder("s", "pseudo-1", shelf, Alarms()) as recorder:
        recorder.put(chunk(0, 500))
        recorder.put(chunk(504, 500, segment=1))
    (path,) = shelf.folder.iterdir()
    assert [(s.start, s.n_samples) for s in open_recording(path).segments] == [(0.0, 500), (2.016, 500)]


def test_cut_anywhere_it_is_readable_up_to_its_last_whole_chunk(shelf: Shelf, tmp_path: Path) -> None:
    with Recorder("s", "pseudo-1", shelf, Alarms()) as recorder:
        for n in range(20):
            recorder.put(chunk(n * 25))
    (path,) = shelf.folder.iterdir()
    whole = path.read_bytes()
    assert whole_bytes(whole) is None
    cut = tmp_path / "cut.xdf"
    seen = set()
    for end in [*random.Random(1).sample(range(4, len(whole)), 120), len(whole) - 1]:
        for tail in (b"", bytes(100)):  # as a power cut may leave it
            cut.write_bytes(whole[:end] + tail)
            try:
                recording = open_recording(cut)
            except RecordingError as refusal:
                assert "no EEG stream" in str(refusal) and "\n" not in str(refusal)
                continue
            (segment,) = recording.segments
            assert segment.n_samples % 25 == 0
            assert np.array_equal(segment.data[0], np.arange(segment.n_samples))
            seen.add(segment.n_samples)
            if segment.n_samples < 500:
                (warning,) = recording.warnings
                assert "breaks off" in warning and "\n" not in warning
    assert len(seen) > 10


def test_another_person_rate_or_clock_goes_into_another_file(shelf: Shelf) -> None:
    with Recorder("s", "pseudo-1", shelf, Alarms()) as recorder:
        recorder.put(chunk(0))
        recorder.meet("pseudo-2")
        recorder.put(chunk(25))
        recorder.put(chunk(50, rate=500.0))
        recorder.put(chunk(75, rate=500.0, offset=4600.0))
    assert recorder.files == 4
    assert len(list(shelf.folder.glob("pseudo-1_*"))) == 1
    assert len(list(shelf.folder.glob("pseudo-2_*"))) == 3
    counts = sorted(open_recording(path).n_samples for path in shelf.folder.iterdir())
    assert counts == [25, 25, 25, 25]


def labels_of(shelf: Shelf, subject: str) -> list[str]:
    """Whose labels lie in a subject's files, by what each says of itself."""
    events = [told for path in shelf.folder.glob(f"{subject}_*") for _, told in streams(path)[1]]
    return [told["whose"] for told in events if told["event"] == "label"]


def test_nothing_of_one_person_gets_into_anothers_file_where_the_disk_hangs(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, released, sync = threading.Event(), threading.Event(), RecordingFile.sync

    def hang(file: RecordingFile) -> None:
        hanging.set()
        assert released.wait(60)
        sync(file)

    monkeypatch.setattr(RecordingFile, "sync", hang)
    with Recorder("s", "pseudo-1", shelf, Alarms()) as recorder:
        recorder.put(chunk(0))
        assert hanging.wait(60)
        recorder.put(chunk(25))
        recorder.note("label", time.time(), of="pseudo-1", whose="pseudo-1")
        recorder.meet("pseudo-2")
        for n in range(20):  # 1.2 MB each, 16 MiB are kept
            recorder.put(chunk(100_000 * n, 75_000, segment=1))
        for _ in range(3000):
            recorder.note("label", time.time(), of="pseudo-2", whose="pseudo-2")
        released.set()
    counts = {
        subject: sum(open_recording(path).n_samples for path in shelf.folder.glob(f"{subject}_*"))
        for subject in ("pseudo-1", "pseudo-2")
    }
    assert counts == {"pseudo-1": 25, "pseudo-2": 13 * 75_000}
    assert (recorder.recorded, recorder.unrecorded) == (25 + 13 * 75_000, 25 + 7 * 75_000)
    assert labels_of(shelf, "pseudo-1") == []
    assert labels_of(shelf, "pseudo-2") == ["pseudo-2"] * 2000


def test_labels_that_come_after_their_wearer_has_gone_are_not_the_next_ones(shelf: Shelf) -> None:
    with Recorder("s", "pseudo-1", shelf, Alarms()) as recorder:
        recorder.note("source", time.time(), state="online")
        recorder.put(chunk(0))
        recorder.note("label", time.time(), of="pseudo-1", whose="pseudo-1")
        recorder.meet("pseudo-2")
        recorder.put(chunk(25))
        recorder.note("label", time.time(), of="pseudo-1", whose="pseudo-1")
        recorder.note("label", time.time(), of="pseudo-2", whose="pseudo-2")
    assert labels_of(shelf, "pseudo-1") == ["pseudo-1"]
    assert labels_of(shelf, "pseudo-2") == ["pseudo-2"]


def test_labels_that_found_no_room_wait_for_their_own_persons_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.recorder._LOOK_S", 0.1)
    shelf, alarms = Shelf(tmp_path / "r", Settings(max_gib=1e-6, min_free_mib=1)), Alarms()
    filler = shelf.folder / "filler.xdf"
    filler.write_bytes(bytes(10_000))
    with Recorder("s", "pseudo-1", shelf, alarms) as recorder:
        recorder.note("source", time.time(), state="online")
        recorder.put(chunk(0))
        recorder.note("label", time.time(), of="pseudo-1", whose="pseudo-1")
        until(lambda: recorder.unrecorded == 25)
        recorder.meet("pseudo-2")
        filler.unlink()
        until(lambda: (recorder.put(chunk(25)), recorder.recorded)[1])
    assert labels_of(shelf, "pseudo-2") == []
    (path,) = shelf.folder.iterdir()
    assert [told["state"] for _, told in streams(path)[1] if told["event"] == "source"] == ["online"]


def test_a_window_that_is_read_while_another_person_is_named_is_no_label_of_theirs(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on, read = threading.Event(), threading.Event(), Reader.read

    def held(self: Reader, *given: Any) -> Any:
        reading.set()
        assert go_on.wait(60)
        return read(self, *given)

    monkeypatch.setattr(Reader, "read", held)
    folder = tmp_path / "state" / "recordings"

    async def body() -> None:
        toml = stream("bed", 'kind = "simulator", period_s = 8', "calibration_s = 4\nrecord = true")
        toml += "[recording]\nmin_free_mib = 1\n"
        async with (
            listening(mosquitto.port) as ear,
            serving(configuration(tmp_path, mosquitto.port, toml)) as running,
        ):
            assert await asyncio.to_thread(reading.wait, 60)
            assert (await command(ear, "bed", "patient", b'{"subject": "pseudo-2"}'))["ok"]
            await asyncio.to_thread(until, lambda: list(folder.glob("pseudo-2_*")))
            go_on.set()
            await ear.until(lambda: ear.under("bed/emotion"), 60)
            await running.finish()
            assert ear.under("bed/emotion")[0]["subject"] == "pseudo-unknown"
            own = {m["window"]["end"] for m in ear.under("bed/emotion") if m["subject"] == "pseudo-2"}
            (path,) = folder.glob("pseudo-2_*")
            assert {told["end"] for _, told in streams(path)[1] if told["event"] == "label"} <= own

    asyncio.run(body())


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_where_the_clock_is_set_labels_stay_with_their_samples(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, stamped: bool, step: float
) -> None:
    utc, before = time.time, time.time()

    def second(n: int) -> Chunk:
        now = time.monotonic()
        stamps = now + np.arange(250) / 250 if stamped else None
        return chunk(250 * n, 250, stamps=stamps, offset=0.0, arrived=now)

    with Recorder("s", "pseudo-1", shelf, Alarms()) as recorder:
        recorder.put(second(0))
        recorder.note("label", before, which="before")
        monkeypatch.setattr(time, "time", lambda: utc() + step)
        recorder.note("label", before, which="under way")
        recorder.note("label", time.time(), which="after")
        recorder.put(second(1))
        offset = time.time() - time.monotonic()
    (path,) = shelf.folder.iterdir()
    eeg, events = streams(path)
    assert eeg["time_stamps"] == pytest.approx(time.monotonic(), abs=60)
    assert [at for at, _ in events] == pytest.approx([time.monotonic()] * len(events), abs=60)
    told = {about.get("which", about["event"]): at for at, about in events}
    assert told["before"] == pytest.approx(told["under way"], abs=0.01)
    (clock,) = [about for _, about in events if about["event"] == "clock"]
    assert clock["utc_offset"] == pytest.approx(offset, abs=0.5)
    assert [s.n_samples for s in open_recording(path).segments] == [500]


def test_files_rotate_by_size_and_lose_nothing_in_between(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "r", Settings(rotate_mib=0.05, min_free_mib=1))
    with Recorder("s", "pseudo-1", shelf, Alarms()) as recorder:
        for n in range(400):
            recorder.put(chunk(n * 25))
    recordings = [open_recording(path) for path in shelf.folder.iterdir()]
    assert len(recordings) == recorder.files > 3
    data = sorted(float(v) for r in recordings for s in r.segments for v in s.data[0])
    assert data == list(range(10_000))


def test_a_full_shelf_stops_with_an_alarm_and_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.recorder._LOOK_S", 0.2)
    shelf, alarms = Shelf(tmp_path / "r", Settings(max_gib=1e-5, min_free_mib=1)), Alarms()
    with Recorder("s", "pseudo-1", shelf, alarms) as recorder:
        n = 0

        def put() -> None:
            nonlocal n
            recorder.put(chunk(25 * n))
            n += 1

        until(lambda: (put(), alarms.lines)[1])
        assert "raise recording.max_gib" in alarms.lines[0]
        until(lambda: (put(), recorder.unrecorded)[1])
        for path in shelf.folder.iterdir():
            path.unlink()
        until(lambda: (put(), not alarms.lines)[1])
        before = recorder.recorded
        until(lambda: (put(), recorder.recorded > before)[1])
    assert recorder.recorded + recorder.unrecorded == 25 * n


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "200k") as disk:
        yield disk


def test_a_disk_that_fills_leaves_readable_files_and_counts(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.recorder._LOOK_S", 0.2)
    shelf, alarms = Shelf(disk / "r", Settings(min_free_mib=0)), Alarms()
    with Recorder("s", "pseudo-1", shelf, alarms) as recorder:
        n = 0
        while not alarms.lines:
            recorder.put(chunk(25 * n))
            n += 1
            time.sleep(0.002)
        assert "make room" in alarms.lines[0]
    assert recorder.recorded + recorder.unrecorded == 25 * n and recorder.recorded > 2500
    first = min(shelf.folder.iterdir(), key=lambda p: p.name)
    recording = open_recording(first)
    (segment,) = recording.segments
    assert np.array_equal(segment.data[0], np.arange(segment.n_samples))


def test_a_disk_that_claims_room_and_takes_nothing_keeps_one_alarm_and_no_empty_files(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.recorder._LOOK_S", 0.05)
    shelf, alarms, changes = Shelf(disk / "r", Settings(min_free_mib=0)), Alarms(), []
    filler = fill(disk)
    assert not shelf.lack()
    with Recorder("s", "pseudo-1", shelf, alarms) as recorder:
        alarms.on_change = lambda: changes.append(alarms.lines)
        n = 0

        def put() -> int:
            nonlocal n
            recorder.put(chunk(25 * n))
            n += 1
            return n

        # Tried again ever so often: each time it is looked for room.
        until(lambda: put() and recorder.unrecorded >= 25 * 30)
        assert len(changes) == len(changes[0]) == 1 and "make room" in changes[0][0]
        assert list(shelf.folder.iterdir()) == [] and recorder.files == 0
        filler.unlink()
        until(lambda: put() and not alarms.lines)
        assert len(changes) == 2 and recorder.recorded
    assert recorder.recorded + recorder.unrecorded == 25 * n
    assert sum(open_recording(path).n_samples for path in shelf.folder.iterdir()) == recorder.recorded


def test_a_file_that_got_no_sample_is_removed(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.recorder._LOOK_S", 0.05)
    shelf, alarms = Shelf(disk / "r", Settings(min_free_mib=0)), Alarms()
    with Recorder("s", "pseudo-1", shelf, alarms) as recorder:
        recorder.put(chunk(0, 20_000))  # its header finds room, its samples do not
        until(lambda: alarms.lines)
    assert list(shelf.folder.iterdir()) == []
    assert (recorder.recorded, recorder.unrecorded, recorder.files) == (0, 20_000, 0)


def test_whatever_the_recorder_fails_at_is_an_alarm_and_counted_and_it_goes_on(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.recorder._LOOK_S", 0.05)
    alarms = Alarms()
    with Recorder("s", "pseudo-1", shelf, alarms) as recorder:
        recorder.put(chunk(0, time=1e12))  # no calendar has that year
        until(lambda: alarms.lines)
        (line,) = alarms.lines
        assert line.startswith("s is not recorded: ValueError: year") and "\n" not in line
        assert recorder.unrecorded == 25
        recorder.note("source", time.time(), detail=object())  # no JSON can hold that
        n = 1

        def put() -> None:
            nonlocal n
            recorder.put(chunk(25 * n))
            n += 1

        until(lambda: (put(), recorder.recorded >= 50 and not alarms.lines)[1])
    assert recorder.recorded + recorder.unrecorded == 25 * n
    assert sum(open_recording(path).n_samples for path in shelf.folder.iterdir()) == recorder.recorded


def test_names_from_anywhere_make_harmless_files(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "r", Settings(min_free_mib=1))
    for name in ("../../etc/passwd", "a/b\0c", "", "…", "x" * 500, ".hidden", "a b"):
        path = shelf.path("pseudo-1", name, 0.0)
        assert path.parent == shelf.folder and len(path.name) < 200
        assert safe(name).replace("-", "").replace("_", "").isalnum()
        with Recorder(name, "pseudo-1", shelf, Alarms()) as recorder:
            recorder.put(chunk(0))
    assert all(open_recording(path).n_samples == 25 for path in shelf.folder.iterdir())
    assert len(list(shelf.folder.iterdir())) == 7


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "daemon", "record", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_a_random_moment_costs_less_than_a_second(
    tmp_path: Path, part: Callable[..., Any], seed: int
) -> None:
    """The outlet stamps sample n with its start + n / rate, on this host's monotonic clock."""
    outlet = part("lsl_outlet.py", "--wait", "--rate", 500, "--name", "numbered", "--chunk", 5)
    assert outlet.line() == "ready"
    process = start("--lsl", "numbered", "--out", tmp_path, "--subject", "pseudo-9")
    try:
        until(lambda: any(p.stat().st_size > 50_000 for p in tmp_path.glob("*.xdf")), 40)
        time.sleep(random.Random(seed).uniform(0, 1.5))
        killed = time.monotonic()
        process.kill()
    finally:
        process.kill()
        process.communicate()
    (path,) = tmp_path.iterdir()
    recording = open_recording(path)
    assert any("breaks off" in warning for warning in recording.warnings)
    data = np.concatenate([s.data for s in recording.segments], axis=1)
    numbers = data[0].astype(int)
    assert np.array_equal(numbers, np.arange(numbers[0], numbers[0] + numbers.size))
    sine = (20 * np.sin(2 * np.pi * 10 / 500 * np.arange(numbers[0], numbers[-1] + 1))).astype(np.float32)
    assert np.array_equal(data[1], sine)
    raw = path.read_bytes()
    trimmed = tmp_path / "trimmed.xdf"
    trimmed.write_bytes(raw[: whole_bytes(raw)])
    eeg, _ = streams(trimmed, synchronize_clocks=False)
    assert killed - eeg["time_stamps"][-1] < 1.0
    assert np.diff(eeg["time_stamps"]) == pytest.approx(1 / 500)


def test_the_verb_ends_properly_and_says_what_it_did(tmp_path: Path, part: Callable[..., Any]) -> None:
    outlet = part("lsl_outlet.py", "--wait", "--samples", 1000, "--name", "numbered")
    assert outlet.line() == "ready"
    process = start("--lsl", "numbered", "--out", tmp_path)
    try:
        until(lambda: any(p.stat().st_size > 5000 for p in tmp_path.glob("*.xdf")), 40)
        assert outlet.line() == "1000"
        until(lambda: open_recording(next(tmp_path.iterdir())).n_samples == 1000, 40)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, err
    told = json.loads(out.splitlines()[-1])
    assert told == {"folder": str(tmp_path), "files": 1, "samples": 1000, "unrecorded": 0}
    (path,) = tmp_path.iterdir()
    assert open_recording(path).warnings == ()
    _, events = streams(path)
    assert "online" in [e["state"] for _, e in events if e["event"] == "source"]
    both = start("x.toml", "--lsl", "y")
    assert both.communicate()[1].count("\n") == 1 and both.returncode == 78


def test_labelled_live_and_recorded_gives_the_same_labels_offline(
    mosquitto: Mosquitto, tmp_path: Path, part: Callable[..., Any]
) -> None:
    part("-m", "daemon.headset", "--name", "kept", "--wait", 30)

    async def body() -> None:
        toml = stream("bed", 'kind = "lsl", name = "kept"', "calibration_s = 6\nrecord = true")
        toml += "[recording]\nmin_free_mib = 1\n"
        async with (
            listening(mosquitto.port) as ear,
            serving(configuration(tmp_path, mosquitto.port, toml)) as running,
        ):
            await ear.until(lambda: len(ear.under("bed/emotion")) >= 3, 60)
            await running.finish()
            health = running.service.last_health
            assert health is not None
            assert health.streams["bed"].recorded == health.streams["bed"].samples
            assert health.streams["bed"].unrecorded == 0

    asyncio.run(body())
    (path,) = (tmp_path / "state" / "recordings").iterdir()
    _, events = streams(path)
    live = [told for _, told in events if told["event"] == "label"]
    labelling = Labelling(bundle(), reader(), Person(None, None), calibration_s=6.0)
    offline = [one.reading for one in labelling.label([open_recording(path)])]
    assert len(live) >= 3
    assert [one["label"] for one in live] == [one.label for one in offline[: len(live)]]
    assert [one["p"] for one in live] == [one.p for one in offline[: len(live)]]
