"""Ray nodes as a test drives them, commands that work on them, and recordings small enough for hundreds."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import edfio
import numpy as np

ROOT = Path(__file__).parents[2]
PARTS = ROOT / "tests" / "parts"
CHANNELS = ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")
# As the parts that make the cluster: loopback alone.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": f"{ROOT}:{PARTS}",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "OMP_NUM_THREADS": "1",
}


class Nodes:
    """The cluster of tests/parts/ray_nodes.py."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(PARTS / "ray_nodes.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # Where Ray keeps all its files, a note of where the head is among them.
            env=ENVIRONMENT | {"RAY_TMPDIR": str(folder)},
        )
        self.address = self._line()
        assert self.address, "the cluster did not start"

    def kill_one(self) -> int:
        """How many processes were ended, at once."""
        return self._do("kill")

    def add_one(self) -> int:
        return self._do("add")

    def end(self) -> None:
        self._process.communicate(timeout=60)

    def _do(self, what: str) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def nodes() -> Iterator[Nodes]:
    # Sockets are kept in it, whose paths are short.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        found = Nodes(Path(folder))
        try:
            yield found
        finally:
            found.end()


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
    )


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT
    )


def wait(until: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "in vain"
        time.sleep(0.02)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def children(pid: int) -> list[int]:
    """With their own."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found += [int(stat.parent.name), *children(int(stat.parent.name))]
    return found


def wait_gone(pids: set[int], seconds: float = 30) -> None:
    """Ray's processes notice for themselves that their cluster has ended."""
    end = time.monotonic() + seconds
    while left := {pid for pid in pids if _runs(pid)}:
        assert time.monotonic() < end, f"{left} are still there"
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    """What has ended and was not asked for yet does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def recorded(path: Path, seed: int, seconds: int = 16) -> None:
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((len(CHANNELS), 250 * seconds)) * 8
    data = np.cumsum(white, axis=1) * 0.05 + white * 0.3
    signals = [
        edfio.EdfSignal(row, 250, label=name, physical_dimension="uV", physical_range=(-500.0, 500.0))
        for row, name in zip(data, CHANNELS, strict=True)
    ]
    edfio.Edf(signals).write(path)


def table(folder: Path, people: int) -> None:
    """A quarter of a minute each, and what they show."""
    rows = ["file,start,end,subject,label"]
    for number in range(people):
        name = f"person-{number:03d}"
        recorded(folder / f"{name}.edf", number)
        label = ("calm", "stress")[number % 2]
        rows += [f"{name}.edf,0,6,{name},rest", f"{name}.edf,6,16,{name},{label}"]
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")


def short_recipe(path: Path, more: str = "") -> Path:
    shipped = (ROOT / "training" / "recipes" / "eegmat.toml").read_text()
    short = "[pipeline]\nwarmup = 1.0\nwindow = 2.0\nhop = 1.0\ncalibration = 4.0"
    path.write_text(shipped.replace("[pipeline]", short) + f'\n[corpus]\nkind = "table"\n{more}')
    return path
