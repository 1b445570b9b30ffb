"""A program of its own, loaded once and asked again and again; what it says is JSON, a line each."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from tests.bench.engines import THREADS
from tests.parts.machine import ROOT, ChildError, environment


class MissingError(Exception):
    """A peer that is not installed."""


class Resident:
    def __init__(self, module: str, *words: object) -> None:
        """`python -m MODULE WORDS…`; it says `ready`, or what is `missing`.

        Raises MissingError where a package is not installed, ChildError where it does not run.
        """
        # Open as long as the process.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env=environment(OMP_NUM_THREADS=str(THREADS), HF_HUB_OFFLINE="1"),
        )
        try:
            said = self._line()
        except ChildError:
            self.end()
            raise
        if "missing" in said:
            self.end()
            raise MissingError(said["missing"])

    def seconds(self, task: str = "") -> float:
        """What a task took, as the program says."""
        assert self._process.stdin is not None
        print(task, file=self._process.stdin, flush=True)
        return float(self._line())

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()

    def _line(self) -> Any:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            # Libraries have things to say too.
            with contextlib.suppress(json.JSONDecodeError):
                return json.loads(line)
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().splitlines()
        raise ChildError(last[-1] if last else "it ended without a word")


@contextlib.contextmanager
def resident(module: str, *words: object) -> Iterator[Resident]:
    found = Resident(module, *words)
    try:
        yield found
    finally:
        found.end()
