"""What is refused, is asked for anew, or was put before a clock was set, keeps its place in the outbox."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from small_disk import fill, small_disk
from waiting import until

from daemon.outbox import Keep, Outbox
from daemon.reasons import NOT_AUTHORISED, UNSPECIFIED


class Clock:
    """UTC as the daemon sees it. set: by so many seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by = 0.0
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.by)

    def set(self, seconds: float) -> None:
        self.by += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def settle_all(outbox: Outbox, reason: int = 0) -> None:
    for row in outbox.waiting(0, 100_000):
        outbox.settle(row.id, reason)


def ages(outbox: Outbox) -> list[float]:
    return [time.time() - row.created for row in outbox.waiting(0, 100)]


def test_what_is_asked_for_anew_goes_before_what_was_never_sent(tmp_path: Path) -> None:
    with Outbox(tmp_path, max_bytes=200_000) as outbox:
        for n in range(150):
            outbox.put("a/episode", b"%d" % n + bytes(1000), keep=Keep.LONG)
        settle_all(outbox)
        assert outbox.replay(0, time.time() + 9, lambda topic: True) == 150
        for n in range(150):
            outbox.put("a/episode", b"new %d" % n + bytes(1000), keep=Keep.LONG)
        counts = outbox.counts()
        assert (counts["waiting"], counts["dropped"], counts["forgotten"]) == (150, 0, 150)


@pytest.mark.parametrize("step", [-28800.0, 28800.0])
def test_a_clock_that_is_set_moves_the_next_offer_along(tmp_path: Path, clock: Clock, step: float) -> None:
    with Outbox(tmp_path) as outbox:
        outbox.put("a/emr/draft", b"1")
        settle_all(outbox, UNSPECIFIED)
        clock.set(step)
        outbox.waiting(0, 1)
        (due,) = outbox._store._db.execute("select retry from message").fetchone()
        assert due == pytest.approx(time.time() + 60, abs=5)


def test_one_that_goes_through_frees_those_whose_access_was_denied(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        for topic, reason in (("a/emr/draft", NOT_AUTHORISED), ("a/emr/draft", UNSPECIFIED), ("b", 135)):
            outbox.put(topic, b"%d" % reason)
            settle_all(outbox, reason)
        outbox.put("a/emr/draft", b"new")
        settle_all(outbox)
        # The broker hung up on the second, whatever the rules are now; nobody has mended the other topic's.
        freed = outbox.refused()
        assert freed is not None and freed.payload == b"135" and freed.topic == "a/emr/draft"
        outbox.settle(freed.id, 0)
        due = outbox._store._db.execute("select topic, retry=0 from message where state=2 order by id")
        assert due.fetchall() == [("a/emr/draft", 1), ("b", 0)]


@pytest.mark.parametrize("restarted", [False, True])
def test_an_old_state_is_history_though_the_newer_one_is_deleted_already(
    tmp_path: Path, restarted: bool
) -> None:
    outbox = Outbox(tmp_path)
    outbox.put("a/status", b"online", retain=True)
    settle_all(outbox, NOT_AUTHORISED)
    outbox.put("a/status", b"offline", retain=True)
    settle_all(outbox)
    assert outbox.purge(-1) == 1
    if restarted:
        outbox.__exit__()
        outbox = Outbox(tmp_path)
    with outbox:
        old = outbox.refused()
        assert old is not None and old.payload == b"online"
        assert not (old.retain and outbox.is_present(old))


def test_the_clock_is_set_while_the_broker_is_away(tmp_path: Path, clock: Clock) -> None:
    """Nobody asks what waits then; what is put afterwards knows the new time already."""
    with Outbox(tmp_path) as outbox:
        for step in (3600.0, -7200.0):
            outbox.put("a/answer", b"before", keep=Keep.WHILE_FRESH, expiry_s=60.0)
            clock.set(step)
            outbox.put("a/answer", b"after", keep=Keep.WHILE_FRESH, expiry_s=60.0)
        assert ages(outbox) == pytest.approx([0.0] * 4, abs=10)
        assert outbox.counts()["expired"] == 0


def test_the_clock_is_set_while_the_disk_takes_nothing(tmp_path: Path, clock: Clock) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk, Outbox(disk / "state") as outbox:
        outbox.put("a/answer", b"on the disk", keep=Keep.WHILE_FRESH, expiry_s=60.0)
        filler = fill(disk)
        outbox.put("a/draft", bytes(500_000))
        assert outbox.counts()["in_memory"]
        outbox.put("a/answer", b"in memory", keep=Keep.WHILE_FRESH, expiry_s=60.0)
        clock.set(3600.0)
        outbox.put("a/answer", b"after", keep=Keep.WHILE_FRESH, expiry_s=60.0)
        filler.unlink()
        until(lambda: outbox.waiting(0, 1) and not outbox.counts()["in_memory"])
        assert ages(outbox) == pytest.approx([0.0] * 4, abs=30)
        assert outbox.counts()["expired"] == 0


def test_what_is_confirmed_while_the_disk_takes_nothing_waits_no_more(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        for n in range(100):
            outbox.put("a/episode", b"%d" % n)
        with closing(sqlite3.connect(tmp_path / "outbox.sqlite", isolation_level=None)) as other:
            other.execute("begin immediate")
            sent = outbox.waiting(0, 60)
            for row in sent:
                outbox.settle(row.id, 0)
            assert outbox.counts()["waiting"] == 40
            # Pages of what is settled are passed over.
            assert [row.payload for row in outbox.waiting(0, 7)] == [b"%d" % n for n in range(60, 67)]
            assert outbox.waiting(sent[-1].id + 40, 7) == []
        until(lambda: outbox.waiting(0, 1) and not outbox.alarms.lines)
        assert outbox.counts()["waiting"] == 40


def test_an_outbox_that_has_room_again_says_so_though_a_message_is_refused(tmp_path: Path) -> None:
    with Outbox(tmp_path, max_waiting=10) as outbox:
        outbox.put("a/emr/draft", b"refused")
        settle_all(outbox, NOT_AUTHORISED)
        for _ in range(20):
            outbox.put("a/emotion", b"1", keep=Keep.WHILE_ROOM)
        assert any("full" in line for line in outbox.alarms.lines)
        settle_all(outbox)
        assert not any("full" in line for line in outbox.alarms.lines)
        assert outbox.counts()["refused"] == 1
