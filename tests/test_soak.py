"""The fault laboratory in its short form: each fault once, and everything is accounted for."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.soak.campaign import FAULTS

ROOT = Path(__file__).parents[1]
NOTHING = ("unaccounted_messages", "unaccounted_samples", "lost_drafts", "duplicates", "stale_labels")

# Most of a laboratory's time is waiting: for a window, a calibration, a connection. So there are two at once,
# of about the same length: all that happens to broker and headsets, and what happens to the daemon itself.
AROUND = [name for name, fault in FAULTS.items() if fault.lane != "node"]
WITHIN = [name for name, fault in FAULTS.items() if fault.lane == "node"]


def laboratory(out: Path, faults: list[str]) -> dict[str, Any]:
    """Runs to its end; the JSON object of its last line."""
    command = [sys.executable, "-m", "tests.soak", "--short", "--faults", ",".join(faults), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=880)
    assert out.is_file(), done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told == json.loads(out.read_text())
    assert (done.returncode == 0) == (not told["problems"] and not any(told[key] for key in NOTHING)), told
    return told


@pytest.mark.timeout(900)  # less than two minutes on two quiet cores
def test_each_fault_once_and_nothing_is_unaccounted_for(tmp_path: Path) -> None:
    outs = [tmp_path / "around.json", tmp_path / "within.json"]
    with ThreadPoolExecutor(2) as both:
        around, within = both.map(laboratory, outs, (AROUND, WITHIN))
    for told, faults in ((around, AROUND), (within, WITHIN)):
        for key in NOTHING:
            assert told[key] == 0, told
        assert not told["problems"], told
        assert told["messages"]["delivered"] > 100 and told["samples"]["recorded"] > 10_000
        assert {*told["recovery_s"], *told["not_run"]} == {*faults}
        assert told["faults"] == len(told["recovery_s"])
        assert all(seconds is not None for times in told["recovery_s"].values() for seconds in times), told
    assert around["drafts"] + within["drafts"] > 0
    assert around["faults"] + within["faults"] + len(around["not_run"] | within["not_run"]) == 21
    assert "| broker-killed |" in outs[0].with_suffix(".md").read_text()
