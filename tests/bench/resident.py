"""An engine's process, loaded once and asked again and again."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.engines import NEW, PREFIX, THREADS
from tests.parts.machine import ROOT, ChildError, environment


class MissingError(Exception):
    """A peer that is not installed."""


class Resident:
    def __init__(self, engine: str, path: Path, vocabulary: int) -> None:
        """Raises MissingError where its package is not installed, ChildError where it does not run."""
        # Open as long as the process.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.engines", engine, str(path), "--vocabulary", str(vocabulary)],
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

    def rate(self, operation: str) -> float:
        """Tokens a second."""
        assert self._process.stdin is not None
        print(operation, file=self._process.stdin, flush=True)
        return (PREFIX if operation == "prefill" else NEW) / self._line()

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
def resident(engine: str, path: Path, vocabulary: int) -> Iterator[Resident]:
    found = Resident(engine, path, vocabulary)
    try:
        yield found
    finally:
        found.end()
