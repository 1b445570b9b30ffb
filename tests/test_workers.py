"""Pieces of work at once: what goes wrong is one line that names the piece, and what is done stays done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from pipeline.recordings import open_recording
from training.errors import TrainingError
from training.workers import Alone, Workers, workers


@pytest.fixture(scope="module", params=["alone", "processes"])
def pool(request: pytest.FixtureRequest) -> Iterator[Workers]:
    with workers(2) if request.param == "processes" else nullcontext(Alone()) as pool:
        yield pool


def test_every_piece_is_done(pool: Workers, tmp_path: Path) -> None:
    folders = [tmp_path / str(i) for i in range(20)]
    assert sorted(pool.each(os.mkdir, folders)) == list(range(20))
    pool.do(os.rmdir, folders, "folders", "folder")
    assert list(tmp_path.iterdir()) == []


def test_what_fails_is_one_line_with_a_name(pool: Workers, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(TrainingError, match=f"^{missing}: cannot be read: No such file or directory$"):
        pool.do(os.listdir, [missing], "", "")
    with pytest.raises(TrainingError, match=r"^seven: does not fit into memory: use fewer --jobs$"):
        pool.do(bytearray, [1 << 60], "", "", name=partial(str.format, "seven"))
    (tmp_path / "seven.edf").write_bytes(b"0" * 1000)
    with pytest.raises(TrainingError, match=r"^seven: .*seven\.edf: not an EDF or BDF file"):
        pool.do(open_recording, [tmp_path / "seven.edf"], "", "", name=partial(str.format, "seven"))


def test_a_process_that_is_ended_from_outside_is_one_line() -> None:
    told = "ended from outside.*run the same command again, with fewer --jobs; what is done is kept"
    with pytest.raises(TrainingError, match=told), workers(1) as pool:
        pool.do(os._exit, [9], "", "")
