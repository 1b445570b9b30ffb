"""LSL sources against real outlets in other processes, well-behaved and not."""

from __future__ import annotations

import json
import signal
import time
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest

from daemon.replay import play
from daemon.sources import make_source
from daemon.sources.base import SourceLost, SourceRefused
from daemon.sources.discovery import lsl_found
from daemon.sources.settings import LslSource
from pipeline.recordings import open_recording


@pytest.fixture
def outlet(part):
    """Starts an outlet and waits until it can be found."""

    def start(*arguments):
        one = part("lsl_outlet.py", *arguments)
        assert one.line() == "ready"
        return one

    return start


def opened(patience=0, **settings):
    """The open source and what it found; tries again so many times where nothing matches yet."""
    source = make_source(LslSource(**settings))
    for _ in range(patience):
        with suppress(SourceLost):
            return source, source.open()
    return source, source.open()


def read(source, n, seconds=10.0):
    """At least n samples, as a list of chunks."""
    chunks, end = [], time.monotonic() + seconds
    while sum(c.n_samples for c in chunks) < n:
        assert time.monotonic() < end, f"only {sum(c.n_samples for c in chunks)} samples"
        chunk = source.read(0.2)
        if chunk is not None:
            chunks.append(chunk)
    return chunks


def numbers(chunks):
    return np.concatenate([c.data[0] for c in chunks])


def test_samples_arrive_whole_in_order_and_with_their_time(outlet):
    one = outlet("--wait", "--samples", 750, "--rate", 500)
    source, info = opened(name="headset")
    assert (info.channels, info.rate, info.warnings) == (("Fp1", "Fp2", "C3", "C4"), 500.0, ())
    chunks = read(source, 750)
    source.close()
    assert np.array_equal(numbers(chunks), np.arange(750))
    assert {c.segment for c in chunks} == {0}
    assert all(b.first_sample == a.first_sample + a.n_samples for a, b in pairwise(chunks))
    assert all(c.data.dtype == np.float32 for c in chunks)
    last = chunks[-1]
    assert last.time + last.n_samples / 500 == pytest.approx(time.time(), abs=1.0)
    assert last.time_uncertainty < 0.02
    assert last.arrived <= time.monotonic()
    assert one.line() == "750"


def test_channel_names_and_units_come_from_the_stream_or_from_the_settings(outlet):
    outlet("--source-id", "volts", "--unit", "V", "--name", "in-volts")
    outlet("--source-id", "none", "--unit", "", "--name", "no-unit")
    outlet("--source-id", "odd", "--unit", "degrees", "--name", "odd-unit")
    source, _ = opened(source_id="volts")
    first = read(source, 20)
    source.close()
    assert numbers(first)[1] - numbers(first)[0] == pytest.approx(1e6, rel=0.01)
    source, info = opened(source_id="none", channels=("O1", "O2", "P3", "P4"))
    source.close()
    assert info.channels == ("O1", "O2", "P3", "P4")
    assert "µV assumed" in info.warnings[0]
    with pytest.raises(SourceRefused, match="unit 'degrees'"):
        opened(source_id="odd")
    with pytest.raises(SourceRefused, match="channels names 1 rows, the stream has 4"):
        opened(source_id="none", channels=("O1",))


def test_what_is_not_one_eeg_stream_is_refused_in_one_line(outlet):
    outlet("--name", "twin", "--source-id", "left")
    outlet("--name", "twin", "--source-id", "right")
    outlet("--name", "clone-a", "--source-id", "same")
    outlet("--name", "clone-b", "--source-id", "same")
    outlet("--name", "events", "--type", "Markers", "--markers", "--source-id", "events")
    with pytest.raises(SourceRefused, match=r"2 LSL streams match name 'twin'.*'left'.*'right'.*source_id"):
        opened(name="twin")
    with pytest.raises(SourceRefused, match="2 LSL streams have the same source_id 'same'"):
        opened(source_id="same")
    with pytest.raises(SourceRefused, match="carries markers"):
        opened(name="events")
    with pytest.raises(SourceLost, match="no LSL stream with name 'nobody'"):
        opened(name="nobody")
    source, info = opened(name="twin", source_id="right")
    source.close()
    assert info.device["source_id"] == "right"
    found = lsl_found(1.0)
    assert len(found) == 5
    assert any('source_id = "left"' in one.how for one in found)


@pytest.mark.parametrize(
    ("stamps", "why"),
    [
        (("--jump-at", 0, "--jump", time.time() * 1000), "more than a day after now"),
        (("--jump-at", 300, "--jump", -1e12), "more than a day before now"),
        (("--stamp-pace", 1000), "run on more than tenfold against its rate of 250 Hz"),
    ],
)
def test_stamps_that_are_no_seconds_are_refused_with_what_to_do(outlet, feed, stamps, why):
    outlet("--wait", *stamps)
    running = feed(make_source(LslSource(name="headset")))
    refused = running.wait_state("refused").detail
    assert why in refused and "let the outlet stamp" in refused and "\n" not in refused


def test_bad_values_pass_and_the_source_lives(outlet):
    outlet("--wait", "--bad-at", 100, "--samples", 250)
    source, _ = opened(type="EEG")
    data = np.concatenate([c.data for c in read(source, 250)], axis=1)
    source.close()
    assert np.isnan(data[1, 100]) and np.isposinf(data[2, 100]) and np.isneginf(data[3, 100])
    assert np.isfinite(np.delete(data, 100, axis=1)).all()


def test_a_rate_that_lies_is_estimated_and_warned_of(outlet, feed):
    outlet("--wait", "--rate", 250, "--true-rate", 240, "--speed", 10)
    running = feed(make_source(LslSource(name="headset")))
    warning = running.wait_state("warning")
    assert "claims 250 Hz and sends 24" in warning.detail
    assert running.feed.stats.rate_true == pytest.approx(240, rel=0.005)
    assert running.feed.stats.gaps == 0
    assert np.array_equal(numbers(running.wait_samples(3000)), np.arange(len(numbers(running.chunks.items))))


@pytest.mark.parametrize(("jump", "lost", "backwards"), [(5.0, 1250, 0), (-5.0, 0, 1), (3600.0, 900_000, 0)])
def test_a_jump_of_the_stamps_starts_a_segment_just_there(outlet, feed, jump, lost, backwards):
    outlet("--wait", "--jump-at", 500, "--jump", jump)
    running = feed(make_source(LslSource(name="headset")))
    chunks = running.chunks.wait(lambda c: c[-1:] and c[-1].segment == 1)
    before = [c for c in chunks if c.segment == 0]
    after = next(c for c in chunks if c.segment == 1)
    assert np.array_equal(numbers(before), np.arange(500))
    assert after.data[0, 0] == 500
    assert after.first_sample == pytest.approx(500 + lost, abs=10)
    stats = running.feed.stats
    assert (stats.gaps, stats.backwards, stats.reconnects) == (1, backwards, 0)
    assert stats.lost == pytest.approx(lost, abs=10)
    assert bool(backwards) == any("backwards" in e.detail for e in running.events.items)


def test_a_5_s_silence_is_noticed_and_counted(outlet, feed):
    outlet("--wait", "--silent-at", 250, "--silent", 5)
    running = feed(make_source(LslSource(name="headset")), stall_s=1.5)
    assert "no samples for" in running.wait_state("stalled").detail
    running.wait_state("online", 2)
    before, after = (
        [c for c in running.chunks.wait(lambda c: c[-1].segment == 1) if c.segment == n] for n in (0, 1)
    )
    stats = running.feed.stats
    assert (stats.reconnects, stats.gaps) == (1, 0)
    # What the outlet sent while we were still looking for it is lost as well: it numbers its samples.
    unheard = after[0].data[0, 0] - before[-1].data[0, -1] - 1
    assert stats.lost == pytest.approx(5 * 250 + unheard, abs=30)


def test_a_headset_that_has_not_begun_is_left_open_until_it_does(outlet, feed):
    outlet("--wait", "--silent-at", 0, "--silent", 3)
    running = feed(make_source(LslSource(name="headset")), stall_s=0.5)
    assert running.wait_state("stalled").detail == "found, and sends no samples yet"
    running.wait_state("online")
    # Opened anew every half second it would miss some of the first, and nothing would tell.
    assert running.chunks.items[0].data[0, 0] == 0
    assert [e.state for e in running.events.items] == ["connecting", "stalled", "online"]


def test_a_killed_outlet_may_come_back_under_another_source_id(outlet, feed):
    first = outlet("--wait", "--source-id", "before")
    running = feed(make_source(LslSource(name="headset")))
    running.wait_state("online")
    first.kill()
    running.wait_state("lost")
    outlet("--source-id", "after")
    running.wait_state("online", 2)
    assert running.feed.info is not None and running.feed.info.device["source_id"] == "after"
    chunks = running.chunks.items
    assert [c.segment for c in chunks] == sorted(c.segment for c in chunks)
    assert running.feed.stats.reconnects == 1
    assert running.feed.stats.lost > 0


def test_an_outlet_that_hangs_is_noticed_and_taken_up_again(outlet, feed):
    one = outlet("--wait")
    running = feed(make_source(LslSource(name="headset")), stall_s=1.0)
    running.wait_state("online")
    one.signal(signal.SIGSTOP)
    running.wait_state("stalled")
    running.wait_state("lost")
    one.signal(signal.SIGCONT)
    running.wait_state("online", 2, seconds=20)


def test_samples_that_waited_in_the_buffer_are_not_served_as_fresh(outlet):
    outlet("--wait", "--rate", 1000, "--chunk", 20)
    source, _ = opened(name="headset")
    read(source, 200)
    time.sleep(2.5)  # the reader hangs: this is the fault under test
    late = source.read(0.2)
    age = time.monotonic() - late.arrived
    source.close()
    assert late.n_samples == 1024
    assert age == pytest.approx(1.4, abs=0.3)


def test_a_simulated_headset_accounts_for_every_sample(part):
    headset = part("-m", "daemon.headset", "--seconds", 2, "--rate", 500, "--wait", 20, "--period", 1)
    source, info = opened(patience=10, name="simulated-headset")
    chunks = read(source, 1000)
    source.close()
    assert len(info.channels) == 19
    lines = [json.loads(headset.line()) for _ in range(4)]
    assert lines[0]["stream"] == "simulated-headset"
    assert [line.get("state") for line in lines[1:]] == ["calm", "stress", None]
    assert lines[-1] == {"samples": 1000}
    assert sum(c.n_samples for c in chunks) == 1000


def test_a_real_recording_replayed_arrives_as_it_is(shared_data, part):
    path = shared_data("eegmat/Subject01_2.edf")
    code = f"from daemon.replay import play; print(play([{str(path)!r}], 'r', speed=40, wait_s=20))"
    player = part("-c", code)
    recording = open_recording(path)
    source, _ = opened(patience=10, name="r")
    data = np.concatenate([c.data for c in read(source, recording.n_samples)], axis=1)
    source.close()
    assert int(player.line()) == recording.n_samples
    assert np.array_equal(data, recording.segments[0].data)


def test_a_replay_needs_a_speed(shared_data):
    with pytest.raises(ValueError, match="speed"):
        play([shared_data("eegmat/Subject01_2.edf")], "r", speed=0)
