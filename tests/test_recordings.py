"""Recordings of all kinds, real and written here, whole and damaged."""

from __future__ import annotations

import struct
import time
from datetime import datetime, timedelta

import edfio
import numpy as np
import pytest

from daemon.sources import make_source
from daemon.sources.base import SourceEnded, SourceRefused
from daemon.sources.settings import RecordingSource
from pipeline.errors import RecordingError
from pipeline.recordings import BoardLayout, open_recording
from pipeline.recordings.counter import PackageCounter
from pipeline.recordings.units import microvolts_per

RNG = np.random.default_rng(7)
SIGNAL = 50 * RNG.standard_normal(1000)  # 4 s at 250 Hz, µV


def edf_signal(label, data=SIGNAL, unit="uV", rate=250, kind=edfio.EdfSignal):
    return kind(data, rate, label=label, physical_dimension=unit, physical_range=(-400, 400))


def write_edf(path, *signals, kind=edfio.Edf, **options):
    kind(list(signals), **options).write(path)
    return path


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        *(("V", 1e6), ("mV", 1e3), ("uV", 1), ("µV", 1), ("μV", 1), ("UV", 1), ("nV", 1e-3)),
        *(("microvolts", 1), ("Volts", 1e6), ("", None), ("MV", None), ("degC", None), ("mV²", None)),
    ],
)
def test_units(unit, factor):
    assert microvolts_per(unit) == factor


def test_a_real_edf(shared_data):
    recording = open_recording(shared_data("eegmat/Subject01_1.edf"))
    assert recording.rate == 500
    assert recording.channels[0] == "EEG Fp1" and recording.channels[-2:] == ("EEG A2-A1", "ECG ECG")
    (segment,) = recording.segments
    assert segment.data.shape == (21, 91000) and segment.data.dtype == np.float32
    reference = edfio.read_edf(recording.path)
    assert np.allclose(segment.data[3], reference.signals[3].data, atol=1e-3)
    assert np.allclose(segment.data[20], reference.signals[20].data * 1000, rtol=1e-4)  # its ECG is in mV


@pytest.mark.parametrize(
    ("kind", "signal", "suffix"),
    [(edfio.Edf, edfio.EdfSignal, "edf"), (edfio.Bdf, edfio.BdfSignal, "bdf")],
)
def test_edf_and_bdf_scale_to_microvolts(tmp_path, kind, signal, suffix):
    path = write_edf(
        tmp_path / f"a.{suffix}",
        edf_signal("Fp1", kind=signal),
        edf_signal("EEG O1", unit="mV", kind=signal),
        edf_signal("Temp", unit="degC", kind=signal),
        edf_signal("Slow", SIGNAL[:40], rate=10, kind=signal),
        kind=kind,
        annotations=[edfio.EdfAnnotation(1, None, "eyes closed")],
    )
    recording = open_recording(path)
    assert recording.channels == ("Fp1", "EEG O1")
    step = 800 / 2**16
    assert np.allclose(recording.segments[0].data[0], SIGNAL, atol=step)
    assert np.allclose(recording.segments[0].data[1], 1000 * SIGNAL, atol=1000 * step)
    assert recording.start_utc is None


def test_a_discontinuous_edf_has_segments(tmp_path):
    path = write_edf(tmp_path / "d.edf", edf_signal("Fp1"), annotations=[], data_record_duration=1)
    raw = path.read_bytes().replace(b"EDF+C", b"EDF+D")
    # The last two of four data records were recorded 5 s later; the text keeps its length.
    raw = raw.replace(b"+2\x14\x14", b"+7\x14\x14").replace(b"+3\x14\x14", b"+8\x14\x14")
    path.write_bytes(raw)
    first, second = open_recording(path).segments
    assert (first.start, first.n_samples, second.start, second.n_samples) == (0, 500, 7, 500)
    assert np.allclose(second.data[0], SIGNAL[500:], atol=0.02)


def test_edf_that_cannot_be_trusted_is_refused(tmp_path, shared_data):
    whole = shared_data("eegmat/Subject01_2.edf").read_bytes()
    odd = write_edf(tmp_path / "unit.edf", edf_signal("EEG Fp1", unit="furlong"))
    rates = write_edf(tmp_path / "rates.edf", edf_signal("Fp1"), edf_signal("Fp2", SIGNAL[:500], rate=125))
    none = write_edf(tmp_path / "none.edf", edf_signal("Temp", unit="degC"))
    for name, content, match in (
        ("cut.edf", whole[:-1000], "truncated"),
        ("short.edf", whole[:100], "not an EDF or BDF file"),
        ("text.edf", b"hello" * 200, "not an EDF or BDF file"),
        ("empty.edf", b"", "not an EDF or BDF file"),
        ("unit.edf", odd.read_bytes(), "unit 'furlong'"),
        ("rates.edf", rates.read_bytes(), r"different rates \(125, 250 Hz\)"),
        ("none.edf", none.read_bytes(), "no channel carries a voltage"),
        ("a.doc", b"", "unknown kind of recording"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(RecordingError, match=match) as refusal:
            open_recording(path)
        assert str(refusal.value).startswith(str(path)) and "\n" not in str(refusal.value)
    with pytest.raises(RecordingError, match="No such file"):
        open_recording(tmp_path / "gone.edf")


def test_real_xdf_files(shared_data):
    resets = open_recording(shared_data("xdf/clock_resets.xdf"))
    assert (resets.rate, len(resets.channels)) == (100, 8)
    assert [s.n_samples for s in resets.segments] == [12876, 14939]
    assert "µV assumed" in resets.warnings[0]
    smooth = open_recording(shared_data("xdf/obci_8ch_1000Hz_9s.xdf"))
    assert [s.n_samples for s in smooth.segments] == [9520]
    assert open_recording(shared_data("xdf/minimal.xdf")).n_samples == 9


def test_damaged_xdf_is_refused(tmp_path, shared_data):
    whole = shared_data("xdf/obci_8ch_1000Hz_9s.xdf").read_bytes()
    for content in (b"", b"XDF:", b"hello" * 100, whole[:300], bytes(5000)):
        path = tmp_path / "a.xdf"
        path.write_bytes(content)
        with pytest.raises(RecordingError) as refusal:
            open_recording(path)
        assert "\n" not in str(refusal.value)


def test_xdf_that_breaks_off_is_read_as_far_as_it_goes(tmp_path, shared_data):
    whole = open_recording(shared_data("xdf/obci_8ch_1000Hz_9s.xdf"))
    raw = whole.path.read_bytes()
    path = tmp_path / "a.xdf"
    path.write_bytes(raw[: len(raw) // 2])
    half = open_recording(path)
    assert 0.3 < half.n_samples / whole.n_samples < 0.7
    assert np.array_equal(half.segments[0].data, whole.segments[0].data[:, : half.n_samples])
    assert "breaks off" in half.warnings[-1] and "\n" not in half.warnings[-1]
    # What its end announces has to be there: samples missing from the middle are another matter.
    path.write_bytes(raw.replace(b"<sample_count>95", b"<sample_count>99"))
    with pytest.raises(RecordingError, match="truncated"):
        open_recording(path)


VHDR = """Brain Vision Data Exchange Header File Version 1.0
; Data created by a test

[Common Infos]
Codepage=UTF-8
DataFile=a.eeg
MarkerFile=a.vmrk
DataFormat=BINARY
DataOrientation={orientation}
NumberOfChannels=4
SamplingInterval=4000

[Binary Infos]
BinaryFormat={format}

[Channel Infos]
Ch1=Fp1,,0.5,µV
Ch2=Fp2,Cz,,mV
Ch3=with\\1 comma,,1,
Ch4=Temp,,1,C

[Comment]
free text = [anything % goes
"""


def write_brainvision(folder, orientation="MULTIPLEXED", number_format="INT_16", markers="", header=VHDR):
    steps = RNG.integers(-3000, 3000, (4, 1000))
    table = steps.T if orientation == "MULTIPLEXED" else steps
    table.astype("<i2" if number_format == "INT_16" else "<f4").tofile(folder / "a.eeg")
    (folder / "a.vmrk").write_text(
        f"BrainVision Data Exchange Marker File, Version 1.0\n[Marker Infos]\n{markers}", "utf-8"
    )
    path = folder / "a.vhdr"
    path.write_text(header.format(orientation=orientation, format=number_format), "utf-8")
    return path, steps


@pytest.mark.parametrize("orientation", ["MULTIPLEXED", "VECTORIZED"])
@pytest.mark.parametrize("number_format", ["INT_16", "FLOAT_32"])
def test_brainvision(tmp_path, orientation, number_format):
    path, steps = write_brainvision(tmp_path, orientation, number_format)
    recording = open_recording(path)
    assert recording.channels == ("Fp1", "Fp2", "with, comma")
    assert recording.rate == 250
    (segment,) = recording.segments
    assert np.array_equal(segment.data, steps[:3] * np.array([[0.5], [1000], [1]], np.float32))


def test_brainvision_segments_follow_the_markers(tmp_path):
    begin = datetime(2024, 5, 1, 23, 59, 59)
    later = begin + timedelta(seconds=12.5)
    stamps = [when.strftime("%Y%m%d%H%M%S%f") for when in (begin, later)]
    markers = f"Mk1=New Segment,,1,1,0,{stamps[0]}\nMk2=Stimulus,S  1,300,1,0\n"
    markers += f"Mk3=New Segment,,501,1,0,{stamps[1]}\nMk4=New Segment,,751,1,0\n"
    path, _ = write_brainvision(tmp_path, markers=markers)
    assert [(s.start, s.n_samples) for s in open_recording(path).segments] == [
        (0, 500),
        (12.5, 250),
        (13.5, 250),
    ]


def test_damaged_brainvision_is_refused(tmp_path):
    path, _ = write_brainvision(tmp_path)
    with (tmp_path / "a.eeg").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(RecordingError, match="truncated"):
        open_recording(path)
    for change, match in (
        (("Fp1,,0.5,µV", "Fp1,,0.5,stone"), "unit 'stone'"),
        (("SamplingInterval=4000", ""), "damaged header"),
        (("Brain Vision", "Brian Vision"), "not a BrainVision file"),
        (("a.eeg", "gone.eeg"), "No such file"),
        (("BinaryFormat={format}", "BinaryFormat=UINT_8"), "UINT_8, MULTIPLEXED is not supported"),
    ):
        write_brainvision(tmp_path, header=VHDR.replace(*change))
        with pytest.raises(RecordingError, match=match):
            open_recording(path)


def test_damage_that_only_shows_while_reading_is_refused_too(tmp_path):
    for change, match in (
        (("NumberOfChannels=4", "NumberOfChannels=0"), "damaged"),
        (("SamplingInterval=4000", "SamplingInterval=1e-300"), "damaged"),
        (("SamplingInterval=4000", "SamplingInterval=-4000"), "sampling rate of -250 Hz"),
        (("Fp1,,0.5,µV", "Fp1,,0.5,\x1b[2J\x07furlong"), r"unit .*furlong"),
    ):
        path, _ = write_brainvision(tmp_path, header=VHDR.replace(*change))
        with pytest.raises(RecordingError, match=match) as refusal:
            open_recording(path)
        assert str(refusal.value).isprintable()
    path, _ = write_brainvision(tmp_path)
    (tmp_path / "a.vmrk").write_text("BrainVision Data Exchange Marker File, Version 1.0\n")
    with pytest.raises(RecordingError, match="damaged"):
        open_recording(path)
    write_csv(tmp_path / "a.csv", np.ones(100, bool))
    text = (tmp_path / "a.csv").read_text()
    (tmp_path / "a.csv").write_text(text.replace("1.000000", "1e400", 1))
    with pytest.raises(RecordingError, match="damaged"):
        open_recording(tmp_path / "a.csv", LAYOUT)


LAYOUT = BoardLayout("cyton", rows=5, eeg=(1, 2), names=("Fp1", "Fp2"), rate=250, time=4, counter=0)


def write_csv(path, keep):
    """Sample numbers in the EEG columns; the counter wraps at 256."""
    numbers = np.flatnonzero(keep)
    columns = [numbers % 256, numbers, numbers, 0 * numbers, 1.7e9 + numbers / 250]
    np.savetxt(path, np.array(columns).T, delimiter="\t", fmt="%.6f")
    return path


def test_brainflow_csv_splits_where_packages_are_missing(tmp_path):
    keep = np.ones(2000, bool)
    keep[300:303] = keep[510:515] = keep[1000:1600] = False
    recording = open_recording(write_csv(tmp_path / "a.csv", keep), LAYOUT)
    assert recording.start_utc == 1.7e9
    assert recording.channels == ("Fp1", "Fp2")
    for segment in recording.segments:
        assert segment.data[0, 0] == pytest.approx(segment.start * 250)
        assert (np.diff(segment.data[0]) == 1).all()
    assert [s.n_samples for s in recording.segments] == [300, 207, 485, 400]


def test_brainflow_csv_needs_the_right_board(tmp_path):
    path = write_csv(tmp_path / "a.csv", np.ones(100, bool))
    with pytest.raises(RecordingError, match="name the board"):
        open_recording(path)
    other = BoardLayout("muse_2", rows=8, eeg=(1,), names=("TP9",), rate=256, time=6, counter=0)
    with pytest.raises(RecordingError, match="has 5 columns, a file of board muse_2 has 8"):
        open_recording(path, other)
    for content in ("", "no\tnumbers\n"):
        path.write_text(content)
        with pytest.raises(RecordingError, match="not a BrainFlow csv"):
            open_recording(path, LAYOUT)


@pytest.mark.parametrize(
    ("numbering", "modulo", "lost"),
    [
        pytest.param(lambda k: k % 256, 256, {600: 3, 1019: 7, 1500: 100}, id="cyton"),
        pytest.param(lambda k: 2 * k % 256, 128, {600: 3, 1019: 7}, id="cyton with daisy"),
        pytest.param(lambda k: k // 12 % 65536, None, {600: 12, 1200: 36}, id="muse"),
        pytest.param(lambda k: k // 2 % 100 + 1, 200, {600: 2, 1200: 6}, id="ganglion"),
        pytest.param(lambda k: k + 5000, None, {600: 2, 1200: 900}, id="unicorn"),
        pytest.param(lambda k: 0 * k, None, {}, id="no counter"),
    ],
)
@pytest.mark.parametrize("cut", [1, 7, 50, 3000])
def test_package_counters_of_many_boards(numbering, modulo, lost, cut):
    numbers = np.arange(3000)
    for at, n in lost.items():
        numbers = numbers[(numbers < at) | (numbers >= at + n)]
    counter, found = PackageCounter(), {}
    sent = numbering(numbers).astype(float)
    for start in range(0, sent.size, cut):
        for index, n in counter.feed(sent[start : start + cut]):
            found[int(numbers[start + index]) - n] = n
    assert (found, counter.modulo, counter.usable) == (lost, modulo, True)


def test_a_counter_that_does_not_count_is_given_up():
    counter = PackageCounter()
    counter.feed(RNG.integers(0, 256, 500).astype(float))
    assert not counter.usable
    assert counter.feed(RNG.integers(0, 256, 500).astype(float)) == []


def played(settings, seconds=20.0):
    """All chunks of a recording source."""
    source, chunks = make_source(settings), []
    source.open()
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            chunk = source.read(0.5)
            if chunk is not None:
                chunks.append(chunk)
    except SourceEnded:
        return chunks
    finally:
        source.close()
    raise AssertionError("did not end")


def test_recordings_play_one_after_the_other_as_fast_as_possible(shared_data):
    files = [str(shared_data(f"eegmat/Subject01_{n}.edf")) for n in (1, 2)]
    chunks = played(RecordingSource(files=tuple(files), speed=0))
    whole = [open_recording(file).segments[0].data for file in files]
    for segment, data in enumerate(whole):
        got = np.concatenate([c.data for c in chunks if c.segment == segment], axis=1)
        assert np.array_equal(got, data)
    assert chunks[-1].first_sample + chunks[-1].n_samples == sum(d.shape[1] for d in whole)


def test_a_recording_keeps_its_pace(tmp_path):
    path = write_edf(tmp_path / "a.edf", edf_signal("Fp1"))
    start = time.monotonic()
    chunks = played(RecordingSource(files=(str(path),), speed=4))
    assert time.monotonic() - start == pytest.approx(1.0, abs=0.2)
    arrivals = np.array([c.arrived for c in chunks]) - start
    numbers = np.array([c.first_sample + c.n_samples for c in chunks])
    assert np.allclose(arrivals - arrivals[0], (numbers - numbers[0]) / 1000, atol=1e-3)


def test_recordings_that_do_not_fit_together_are_refused(tmp_path):
    a = write_edf(tmp_path / "a.edf", edf_signal("Fp1"))
    b = write_edf(tmp_path / "b.edf", edf_signal("Fp2"))
    for settings, match in (
        (RecordingSource(files=(str(a), str(b))), "other channels or another rate"),
        (RecordingSource(files=(str(a), str(tmp_path / "gone.edf"))), "No such file"),
        (RecordingSource(files=(str(a),), channels=("Fp1", "Fp2")), "channels names 2 rows"),
    ):
        with pytest.raises(SourceRefused, match=match):
            make_source(settings).open()


def test_gaps_of_a_recording_are_counted(shared_data):
    path = shared_data("xdf/clock_resets.xdf")
    chunks = played(RecordingSource(files=(str(path),), speed=0))
    first, second = open_recording(path).segments
    after = next(c for c in chunks if c.segment == 1)
    assert after.first_sample == round(second.start * 100) > first.n_samples
    assert sum(c.n_samples for c in chunks) == first.n_samples + second.n_samples


def test_a_loop_goes_on(tmp_path):
    path = write_edf(tmp_path / "a.edf", edf_signal("Fp1"))
    source = make_source(RecordingSource(files=(str(path),), speed=0, loop=True))
    source.open()
    chunks = [source.read(0.1) for _ in range(12)]
    source.close()
    assert [c.segment for c in chunks] == [0] * 4 + [1] * 4 + [2] * 4
    assert [c.first_sample for c in chunks] == list(range(0, 3000, 250))


def test_bdf_is_24_bits_wide(tmp_path):
    signal = edfio.BdfSignal(SIGNAL, 250, label="Fp1", physical_dimension="uV", physical_range=(-4e5, 4e5))
    path = write_edf(tmp_path / "a.bdf", signal, kind=edfio.Bdf)
    assert np.allclose(open_recording(path).segments[0].data[0], SIGNAL, atol=8e5 / 2**24)
    assert struct.unpack("B7s", path.read_bytes()[:8]) == (255, b"BIOSEMI")
