"""The laboratory's ledgers find what they are for: losses that nobody counted, repetitions, false values."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import numpy as np
import pytest

from daemon.messages import Response
from daemon.outbox import Outbox
from daemon.post import Post
from daemon.topics import Topics
from tests.soak.ears import Heard
from tests.soak.headsets import TWIN_FIRST, LslHeadset, Outlet
from tests.soak.messages import Rows, account
from tests.soak.samples import Run, Samples, account_lsl

TOPICS = Topics("lab", "n1")


def heard(told: bytes) -> Heard:
    return Heard("ear", 0.0, TOPICS.response, 0.0, False, msgspec.json.decode(told))


def made(folder: Path, number: int) -> list[bytes]:
    """So many answers in an outbox, all sent; their payloads."""
    with Outbox(folder) as outbox:
        post = Post(outbox, TOPICS, 60.0)
        for n in range(number):
            post.response(Response(stream="bed", verb="ask", ok=True, detail=str(n)), None)
        rows = outbox.waiting(0, number)
        for row in rows:
            outbox.settle(row.id, 0)
        return [row.payload for row in rows]


def test_messages(tmp_path: Path) -> None:
    payloads = made(tmp_path, 10)
    rows = Rows(tmp_path / "outbox.sqlite")
    ledger = account(rows, [heard(one) for one in payloads], TOPICS.base, 1)
    assert (ledger.made, ledger.delivered, ledger.unaccounted, ledger.duplicates) == (10, 10, 0, 0)
    # Confirmed by the broker, and heard by nobody.
    ledger = account(rows, [heard(one) for one in payloads[3:]], TOPICS.base, 1)
    assert (ledger.delivered, ledger.unaccounted) == (7, 3)
    # Gone from the outbox, and counted nowhere; then counted.
    with sqlite3.connect(tmp_path / "outbox.sqlite") as db:
        db.execute("delete from message where id<=2")
    db.close()
    ledger = account(rows, [heard(one) for one in payloads[2:]], TOPICS.base, 1)
    assert (ledger.delivered, ledger.unaccounted) == (8, 2)
    with sqlite3.connect(tmp_path / "outbox.sqlite") as db:
        db.execute("insert into tally values(?,'expired',2)", (TOPICS.response,))
    db.close()
    ledger = account(rows, [heard(one) for one in payloads[2:]], TOPICS.base, 1)
    assert (ledger.expired, ledger.unaccounted) == (2, 0)
    again = heard(payloads[5].replace(b'"id":"', b'"id":"0'))
    assert account(rows, [*map(heard, payloads), heard(payloads[4])], TOPICS.base, 1).duplicates == 0
    assert account(rows, [*map(heard, payloads), again], TOPICS.base, 1).duplicates == 1


def samples(folder: Path, sent: int, *runs: tuple[int, int, int]) -> Samples:
    """runs: from number, to number, the daemon's own number of the first."""
    headset = LslHeadset(folder, "lsl-1")
    tally = folder / "sent"
    np.array([sent]).tofile(tally)
    headset.lives.append(Outlet(0, 250.0, tally, process=None))  # type: ignore[arg-type]
    found = Samples()
    parts = [Run(np.arange(a, b, dtype=np.float32), own, 250.0) for a, b, own in runs]
    account_lsl(found, headset, parts)
    return found


@pytest.mark.parametrize(
    ("runs", "unaccounted"),
    [
        pytest.param([(100, 1000, 0)], 0, id="all"),
        pytest.param([(100, 400, 0), (600, 1000, 500)], 0, id="counted"),
        pytest.param([(100, 400, 0), (600, 1000, 490)], 0, id="within jitter"),
        pytest.param([(100, 400, 0), (600, 1000, 300)], 200 - 25, id="not counted"),
        pytest.param([(100, 400, 0), (600, 1000, 0)], 0, id="another life of the daemon"),
        pytest.param([(100, 400, 0), (TWIN_FIRST, TWIN_FIRST + 50, 300), (450, 1000, 350)], 0, id="twin"),
        pytest.param([(100, 400, 0), (350, 1000, 300)], 650, id="again"),
        pytest.param([(100, 900, 0)], 100, id="end"),
        pytest.param([], 1000, id="nothing"),
    ],
)
def test_samples(tmp_path: Path, runs: list[tuple[int, int, int]], unaccounted: int) -> None:
    found = samples(tmp_path, 1000, *runs)
    assert found.unaccounted == unaccounted, found.findings
    if not unaccounted:
        assert found.recorded + found.before + found.away + found.known + found.jitter == found.sent == 1000


def test_a_silent_loss_within_a_run_and_a_false_value_are_found(tmp_path: Path) -> None:
    numbers = np.delete(np.arange(1000, dtype=np.float32), slice(500, 526))
    headset = LslHeadset(tmp_path, "lsl-1")
    np.array([1000]).tofile(tmp_path / "sent")
    headset.lives.append(Outlet(0, 250.0, tmp_path / "sent", process=None))  # type: ignore[arg-type]
    found = Samples()
    account_lsl(found, headset, [Run(numbers, 0, 250.0)])
    assert found.unaccounted == 26
    found, numbers = Samples(), np.arange(1000, dtype=np.float32)
    numbers[500] += 0.25
    account_lsl(found, headset, [Run(numbers, 0, 250.0)])
    assert found.unaccounted == 1
