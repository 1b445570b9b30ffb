"""BrainFlow sources: the synthetic board, playback, and the real Cyton driver on a pseudo-terminal."""

from __future__ import annotations

import time
from itertools import pairwise

import fake_cyton
import numpy as np
import pytest

from daemon.sources import make_source
from daemon.sources.base import SourceEnded, SourceLost, SourceRefused
from daemon.sources.brainflow_import import board_layout, board_names
from daemon.sources.settings import BrainFlowSource
from pipeline.recordings import open_recording


@pytest.fixture
def cyton(tmp_path):
    """Starts a Cyton; its settings and itself."""
    boards = []

    def start(**faults):
        boards.append(fake_cyton.FakeCyton(tmp_path / "cyton", **faults))
        return boards[-1], BrainFlowSource(board="cyton", serial_port=str(tmp_path / "cyton"), timeout_s=3)

    yield start
    for board in boards:
        board.unplug()


def numbers(chunks):
    """The Cyton's packet numbers, from its data."""
    data = np.concatenate([c.data for c in chunks], axis=1)
    assert np.allclose(data, data[0])
    return np.round(data[0] / fake_cyton.MICROVOLTS / 10).astype(int)


def assert_losses_are_counted(chunks):
    """Within a segment the packets are consecutive; between segments `first_sample` knows what is missing."""
    start = numbers(chunks[:1])[0]
    for chunk in chunks:
        found = numbers([chunk])
        assert np.array_equal(found, np.arange(found[0], found[0] + chunk.n_samples))
        assert found[0] == start + chunk.first_sample
    for a, b in pairwise(chunks):
        contiguous = b.first_sample == a.first_sample + a.n_samples
        assert contiguous == (a.segment == b.segment)


def test_the_synthetic_board_streams(feed):
    running = feed(make_source(BrainFlowSource(board="synthetic")))
    chunks = running.wait_samples(500)
    assert chunks[0].channels[:3] == ("Fz", "C3", "Cz")
    assert chunks[0].data.shape[0] == 16
    assert {c.segment for c in chunks} == {0}
    last = chunks[-1]
    assert last.time + last.n_samples / last.rate == pytest.approx(time.time(), abs=0.5)
    assert last.arrived == pytest.approx(time.monotonic(), abs=0.5)
    assert (running.feed.stats.lost, running.feed.stats.gaps) == (0, 0)


def test_names_and_numbers_of_boards_are_checked(tmp_path):
    assert {"cyton", "cyton_daisy", "muse_2", "unicorn", "brainbit", "crown", "freeeeg32"} <= set(
        board_names()
    )
    source = make_source(BrainFlowSource(board="Synthetic-Board", channels=("Fz",)))
    with pytest.raises(SourceRefused, match="channels names 1 rows, board synthetic has 16"):
        source.open()
    for bad, match in (
        (BrainFlowSource(board="cyto"), "knows no board 'cyto'"),
        (BrainFlowSource(board=-99), "knows no board -99"),
        (BrainFlowSource(board="playback_file", file="x"), "needs master_board"),
        (BrainFlowSource(board="playback_file", file="x", master_board="cyton"), "no such file"),
        (BrainFlowSource(board="callibri_ecg"), "has no EEG"),
    ):
        with pytest.raises(SourceRefused, match=match):
            make_source(bad).open()
    absent = BrainFlowSource(board="cyton", serial_port=str(tmp_path / "none"), timeout_s=1)
    with pytest.raises(SourceLost, match="board cyton does not answer"):
        make_source(absent).open()


def test_a_cyton_that_loses_nothing(cyton, feed):
    _, settings = cyton()
    running = feed(make_source(settings))
    chunks = running.wait_samples(600)
    assert_losses_are_counted(chunks)
    assert {c.segment for c in chunks} == {0}
    assert chunks[0].rate == 250
    assert running.feed.stats.rate_true is None
    assert any("electrodes assumed at Fp1, Fp2" in e.detail for e in running.events.items)


def test_dropped_and_corrupted_packets_are_found_by_the_counter(cyton, feed):
    # Late enough for the counter's ways to be known; 254 to 257 lie across its wrap.
    dropped = {150, *range(254, 258), *range(400, 420)}
    _, settings = cyton(drop=dropped.__contains__, corrupt=lambda k: k in (500, 501))
    running = feed(make_source(settings))
    chunks = running.wait_samples(600)
    assert_losses_are_counted(chunks)
    assert {c.segment for c in chunks} == {0, 1, 2, 3, 4}
    stats = running.feed.stats
    # A damaged packet's bytes may take the next packet with them.
    assert len(dropped) + 2 <= stats.lost <= len(dropped) + 4
    assert (stats.gaps, stats.reconnects) == (4, 0)


def test_a_cyton_that_is_unplugged_and_plugged_in_again(cyton, feed):
    board, settings = cyton()
    running = feed(make_source(settings), stall_s=0.6)
    running.wait_state("online")
    board.unplug()
    running.wait_state("stalled")
    running.wait_state("lost")
    board.plug()
    running.wait_state("online", 2)
    stats = running.feed.stats
    assert stats.reconnects == 1
    assert stats.lost > 0.5 * 250
    assert running.chunks.items[-1].segment == 1


@pytest.fixture
def csv(tmp_path):
    """A file as BrainFlow writes it: 2 s of the synthetic board, sample numbers ×2 µV in its EEG rows."""
    layout = board_layout("synthetic")
    table = np.zeros((500, layout.rows))
    table[:, list(layout.eeg)] = 2 * np.arange(500)[:, None]
    table[:, layout.time] = 1.7e9 + np.arange(500) / 250
    table[:, layout.counter] = np.arange(500) % 256
    path = tmp_path / "recorded.csv"
    np.savetxt(path, table, delimiter="\t", fmt="%.6f")
    return path


def test_a_playback_file_plays_and_ends(csv, feed):
    settings = BrainFlowSource(board="playback_file", master_board="synthetic", file=str(csv))
    running = feed(make_source(settings))
    running.wait_state("ended")
    data = np.concatenate([c.data for c in running.chunks.items], axis=1)
    assert np.array_equal(np.diff(data[0]), np.full(data.shape[1] - 1, 2.0))
    # BrainFlow's own playback keeps the file's last samples to itself.
    assert data.shape[1] >= 498
    assert running.feed.stats.gaps == 0


def test_a_file_that_brainflow_wrote_is_a_recording(csv):
    recording = open_recording(csv, board_layout("synthetic"))
    assert recording.channels[0] == "Fz"
    assert recording.start_utc == 1.7e9
    assert np.array_equal(recording.segments[0].data[3], 2 * np.arange(500, dtype=np.float32))


def test_brainflow_writes_what_the_recording_reader_expects(tmp_path):
    source = make_source(BrainFlowSource(board="synthetic"))
    source.open()
    path = tmp_path / "streamed.csv"
    # The reader is held against BrainFlow's own writer, not against our idea of its files.
    source._shim.add_streamer(f"file://{path}:w")
    chunks = []
    while sum(c.n_samples for c in chunks) < 250:
        chunk = source.read(0.5)
        if chunk:
            chunks.append(chunk)
    source.close()
    recording = open_recording(path, board_layout("synthetic"))
    assert len(recording.segments) == 1
    live = np.concatenate([c.data for c in chunks], axis=1)
    tail = live[:, -100:]
    data = recording.segments[0].data
    at = next(i for i in range(data.shape[1] - 99) if np.allclose(data[:, i : i + 5], tail[:, :5], atol=1e-3))
    assert np.allclose(data[:, at : at + 100], tail, atol=1e-3)


def test_a_closed_board_can_be_opened_again():
    source = make_source(BrainFlowSource(board="synthetic"))
    for segment in range(2):
        source.open()
        chunk = None
        while chunk is None:
            chunk = source.read(0.5)
        assert chunk.segment == segment
        source.close()
        source.close()


def test_a_board_serves_one_stream_only_and_survives_the_attempt():
    settings = BrainFlowSource(board="synthetic")
    first = make_source(settings)
    first.open()
    second = make_source(settings)
    with pytest.raises(SourceRefused, match="in use by another stream"):
        second.open()
    second.close()
    chunks = []
    while sum(c.n_samples for c in chunks) < 100:
        chunk = first.read(0.5)
        assert chunk is not None
        chunks.append(chunk)
    first.close()
    second.open()
    second.close()


def test_playback_that_is_over_says_so_for_good(csv):
    source = make_source(
        BrainFlowSource(board="playback_file", master_board="synthetic", file=str(csv), stall_s=1.0)
    )
    source.open()
    with pytest.raises(SourceEnded, match="is over"):
        while True:
            source.read(0.5)
    source.close()
