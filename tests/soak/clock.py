"""A clock for one process that can be set without touching the machine's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.parts.machine import ROOT

_SOURCE = ROOT / "tests" / "parts" / "stepped_clock.c"


class Clock:
    """environment: for the process whose clock it is; empty where there is no compiler to make it with."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.environment: dict[str, str] = {}
        self.step(0)
        if (compiler := shutil.which("cc")) is not None:
            library = folder / "stepped_clock.so"
            flags = ["-O1", "-Wall", "-Werror", "-shared", "-fPIC"]
            subprocess.run([compiler, *flags, "-o", str(library), str(_SOURCE), "-ldl"], check=True)
            self.environment = {"LD_PRELOAD": str(library), "CLOCK_STEP": str(self._file)}

    def step(self, seconds: int) -> None:
        """From now on the clock is off by so much. In place: the process has the file mapped."""
        with self._file.open("r+b" if self._file.exists() else "wb") as out:
            out.write(seconds.to_bytes(8, "little", signed=True))
