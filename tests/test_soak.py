"""The fault laboratory in its short form: each fault once, and everything is accounted for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(900)  # some two minutes on two quiet cores
def test_each_fault_once_and_nothing_is_unaccounted_for(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    command = [sys.executable, "-m", "tests.soak", "--short", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=880)
    assert out.is_file(), done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == json.loads(out.read_text())
    for key in ("unaccounted_messages", "unaccounted_samples", "lost_drafts", "duplicates", "stale_labels"):
        assert told[key] == 0, told
    assert not told["problems"]
    assert told["messages"]["delivered"] > 200 and told["samples"]["recorded"] > 10_000 and told["drafts"] > 0
    assert told["faults"] == len(told["recovery_s"]) and told["faults"] + len(told["not_run"]) == 21
    assert "| broker-killed |" in out.with_suffix(".md").read_text()
    assert done.returncode == 0
