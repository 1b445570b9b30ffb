"""`eeg-copilot demo`: all of it, on this machine alone, as a user would run it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stack import Client
from waiting import until

pytest.importorskip("iotcore", reason="the demo's broker comes with the extra `demo`")

ROOT = Path(__file__).parents[1]
BEDS = ["you", "bed-2", "bed-3", "bed-4"]


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "daemon", "demo", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1"},
    )


def test_demo_ends_by_itself_with_a_summary() -> None:
    demo = start("--seconds", 30)
    assert demo.stdout is not None
    seen = ""
    while not (address := re.search(r"http://127\.0\.0\.1:(\d+)/#/once/([\w-]+)", seen)):
        line = demo.stdout.readline()
        assert line, "ended before the ward opened"
        seen += line
    # The printed address works at once, and shows four beds.
    visitor = Client(int(address[1]))
    assert visitor.post("/api/link", {"token": address[2]}).json["role"] == "clinician"
    until(lambda: [bed["stream"] for bed in visitor.whole()["beds"].values()] == BEDS, what="four beds")
    out, err = demo.communicate(timeout=90)
    out = seen + out
    assert demo.returncode == 0, err
    assert err == ""
    lines = out.splitlines()
    assert "Research use only" in lines[0]
    assert "shortened to 15 s" in out
    assert "calibrating on rest" in out
    labelled = [line for line in lines if re.search(r"quality +\d+%  latency +\d+ ms", line)]
    assert labelled and all("simulated person: " in line for line in labelled)
    assert "\x1b" not in out
    summary = json.loads(lines[-1])
    assert summary["samples"] == summary["samples_sent"] > 250 * 22
    assert f"All {summary['samples']} samples" in out
    assert summary["windows"] == summary["labels"] + summary["abstained"] == len(labelled) >= 3
    assert (summary["drops"], summary["gaps"]) == (0, 0)
    assert 0 < summary["latency_ms_p50"] <= summary["latency_ms_p99"] < 1000


def test_recording_until_interrupted(shared_data: Callable[[str], Path]) -> None:
    demo = start("--recording", shared_data("eegmat/Subject01_2.edf"))
    assert demo.stdout is not None
    seen = ""
    while "calibrating" not in seen:
        line = demo.stdout.readline()
        assert line, "ended before it began"
        seen += line
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=30)
    assert demo.returncode == 0, err
    assert "Subject01_2.edf" in seen
    summary = json.loads(out.splitlines()[-1])
    assert summary["samples"] == summary["samples_sent"]


def test_recording_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "bad.edf").write_bytes(b"nothing of use")
    demo = start("--recording", tmp_path / "bad.edf")
    _, err = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert "bad.edf" in err and len(err.splitlines()) == 1
