"""No byte leaves the machine: a reader with the network cut, its every call to the network seen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _traced(command: list[str], log: Path) -> subprocess.CompletedProcess[str]:
    """Runs it in a network namespace without any interface that is up; the log gets its network calls."""
    if shutil.which("strace") is None or shutil.which("unshare") is None:
        pytest.fail("strace and unshare are needed: `make test` installs them")
    cut = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    watch = ["strace", "-f", "-qq", "-e", "trace=%network", "-e", "signal=none", "-o", str(log)]
    return subprocess.run(
        [*cut, *watch, sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/parts'}"},
    )


def test_the_reader_opens_no_socket(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    done = _traced(["tests/parts/silent_reader.py"], log)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
    assert log.read_text() == ""


def test_a_socket_would_have_been_seen(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    done = _traced(["-c", "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"], log)
    assert done.returncode == 0, done.stderr
    assert "AF_INET" in log.read_text()
