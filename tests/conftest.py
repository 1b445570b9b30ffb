"""What tests share: real data, real programs in processes of their own, and a network of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

import pytest

from daemon.sources.base import Source, SourceEvent
from daemon.sources.feed import Feed
from pipeline.records import Chunk

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
PARTS = ROOT / "tests" / "parts"
SHARED_DATA = ROOT.parent / "shared" / "data"

sys.path.insert(0, str(PARTS))

# liblsl reads this at its first call: it has to be there before any test module is imported.
# A session of our own keeps runs beside each other, and real headsets on the network, out of sight.
_LSL = Path(tempfile.mkdtemp(prefix="lsl-")) / "lsl_api.cfg"
_LSL.write_text((PARTS / "lsl_api.cfg").read_text().replace("SESSION", f"test-{uuid.uuid4().hex[:12]}"))
os.environ["LSLAPICFG"] = str(_LSL)

# By measured time on two cores, the longest first. Begun last, one of them would keep one worker busy for
# minutes while the other has nothing left to do.
_LONG = (
    "test_report.py",
    "test_boot.py",
    "test_cluster_training.py",
    "test_cluster.py",
    "test_soak.py",
    "test_screens.py",
    "test_finetune.py",
    "test_pretrain.py",
    "test_evaluation.py",
    "test_training.py",
    "test_prune.py",
    "test_fleet_hosts.py",
    "test_access.py",
    "test_silence.py",
    "test_export.py",
    "test_guidance.py",
    "test_demo.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; pytest-xdist keeps to it with `--no-loadscope-reorder`."""
    items.sort(key=lambda item: _LONG.index(item.path.name) if item.path.name in _LONG else len(_LONG))


def pytest_unconfigure() -> None:
    _LSL.unlink(missing_ok=True)
    _LSL.parent.rmdir()


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """`shared_data("eegmat/Subject01_1.edf")`: skips without the data, fails where they are incomplete."""

    def find(name: str) -> Path:
        if not SHARED_DATA.is_dir():
            pytest.skip(f"real recordings are not here: put them into {SHARED_DATA}")
        path = SHARED_DATA / name
        if not path.exists():
            pytest.fail(f"{path} is missing, though {SHARED_DATA} is there")
        return path

    return find


class Part:
    """A program from tests/parts, or a module, in a process of its own."""

    def __init__(self, command: list[str]) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )

    def line(self) -> str:
        """The next line it prints; blocks. Empty where it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def part() -> Iterator[Callable[..., Part]]:
    """`part("lsl_outlet.py", "--rate", 250)`, or `part("-m", "daemon.headset")`: ended with the test."""
    running: list[Part] = []

    def start(program: str, *arguments: object) -> Part:
        first = program if program.startswith("-") else str(PARTS / program)
        running.append(Part([first, *map(str, arguments)]))
        return running[-1]

    yield start
    for one in running:
        one.end()


class Log(Generic[T]):
    """A list that another thread fills and this one can wait on."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self._changed = threading.Condition()

    def add(self, item: T) -> None:
        with self._changed:
            self.items.append(item)
            self._changed.notify_all()

    def wait(self, until: Callable[[list[T]], bool], seconds: float = 15.0) -> list[T]:
        """Block until the list satisfies `until`; returns a copy of it."""
        end = time.monotonic() + seconds
        with self._changed:
            while not until(self.items):
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    pytest.fail(f"not within {seconds:g} s; so far {len(self.items)}: {self.items[-5:]}")
            return list(self.items)


class RunningFeed:
    """A Feed in its thread, with everything it says. chunks, events: `Log`s."""

    def __init__(self, source: Source, stall_s: float) -> None:
        self.chunks: Log[Chunk] = Log()
        self.events: Log[SourceEvent] = Log()
        self.feed = Feed(source, self.chunks.add, self.events.add, stall_s)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.feed.run, args=(self._stop,))
        self._thread.start()

    def wait_state(self, state: str, times: int = 1, seconds: float = 15.0) -> SourceEvent:
        """Block until the feed has reported `state` so many times."""
        seen = self.events.wait(lambda e: sum(one.state == state for one in e) >= times, seconds)
        return [one for one in seen if one.state == state][times - 1]

    def wait_samples(self, n: int, seconds: float = 15.0) -> list[Chunk]:
        return self.chunks.wait(lambda c: sum(one.n_samples for one in c) >= n, seconds)

    def join(self, seconds: float = 15.0) -> None:
        self._thread.join(seconds)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        self._stop.set()
        self.join()


@pytest.fixture
def feed() -> Iterator[Callable[..., RunningFeed]]:
    """`feed(source)`: runs it until the test is over."""
    running: list[RunningFeed] = []

    def start(source: Source, stall_s: float = 2.0) -> RunningFeed:
        running.append(RunningFeed(source, stall_s))
        return running[-1]

    yield start
    for one in running:
        one.stop()


from broker import free_mosquitto, mosquitto  # noqa: E402, F401 (fixtures, found through PARTS)
