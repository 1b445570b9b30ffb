"""The laboratory's headsets: outlets in processes of their own, and a Cyton behind BrainFlow's driver."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.parts.fake_cyton import FakeCyton
from tests.parts.machine import ROOT, ChildError, environment

# float32 counts without a step up to 2^24: a twin's samples must not be taken for the first one's.
TWIN_FIRST = 8_000_000


@dataclass
class Outlet:
    """One life of an outlet: it sends samples `first`, `first` + 1, …

    unheard: of the first ones, how many it sent while the daemon listened to another.
    """

    first: int
    rate: float
    tally: Path
    process: subprocess.Popen[bytes]
    unheard: int = 0

    @property
    def twin(self) -> bool:
        return self.first >= TWIN_FIRST

    @property
    def sent(self) -> int:
        """Samples that liblsl was given, whatever became of the process."""
        return int(np.fromfile(self.tally, np.int64, 1)[0]) if self.tally.stat().st_size else 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Cleanly: what was sent still reaches its listeners. Returns when the outlet has gone."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


class LslHeadset:
    """A stream of one name over the lives of its outlets; sample numbers go on from life to life."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.lives: list[Outlet] = []
        self._folder = folder

    def start(self, *, channels: int = 19, rate: float = 250.0, twin: bool = False, ahead: int = 0) -> Outlet:
        """Its numbers go on behind those of the last one, a twin's behind those of the last twin.

        ahead: how many numbers to leave out, for one that is still there.
        """
        own = [life.first + life.sent for life in self.lives if life.twin == twin]
        first = max(own, default=TWIN_FIRST if twin else 0) + ahead
        tally = self._folder / f"{self.name}-{len(self.lives)}.sent"
        tally.unlink(missing_ok=True)
        options = ["--name", self.name, "--source-id", f"{self.name}-{len(self.lives)}"]
        options += ["--channels", channels, "--rate", rate, "--first", first, "--tally", tally]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.outlet", *map(str, options)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment(LSLAPICFG=str(self._folder / "lsl_api.cfg")),
        )
        assert process.stdout is not None
        with process.stdout as said:
            if said.readline() != b"ready\n":
                process.wait()
                raise ChildError(f"the outlet {self.name} ended early")
        self.lives.append(Outlet(first, rate, tally, process))
        return self.lives[-1]

    @property
    def newest(self) -> Outlet:
        """Not a twin."""
        return [life for life in self.lives if not life.twin][-1]

    def end(self) -> None:
        for life in self.lives:
            if life.process.poll() is None:
                life.end()


class Cyton:
    """The board on its pseudo-terminal. dropping, corrupting: while true, a part of its packets suffers."""

    def __init__(self, folder: Path) -> None:
        self.link = folder / "cyton"
        self.dropping = self.corrupting = False
        # Bursts and single ones, across the wrap of the board's 8-bit counter as well.
        self.board = FakeCyton(
            self.link,
            drop=lambda k: self.dropping and k % 97 < 1 + k % 5,
            corrupt=lambda k: self.corrupting and k % 89 == 0,
        )

    def end(self) -> None:
        self.board.unplug()
