"""A pool of readers as processes, and windows of simulated people for it to read."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from daemon.sources.synthetic_eeg import SimulatedHeadset
from pipeline.bundle import Bundle
from pipeline.prompt import Person
from pipeline.records import Chunk, CompressedWindow
from pipeline.session import Session
from tests.parts.machine import ROOT, environment

# Of decades and genders that differ, and one of whom nothing is known: prefixes have to be changed between.
PEOPLE = (Person(41, "female"), Person(67, "male"), Person(), Person(23, "other"))
_CHUNK = 250


def simulated_windows(bundle: Bundle, count: int, seed: int = 1) -> list[CompressedWindow]:
    """Of one simulated person, after a short rest, as a stream's session cuts them."""
    settings = bundle.manifest.pipeline
    headset = SimulatedHeadset(settings.montage, settings.rate, seed, period_s=20.0)
    session = Session(settings, settings.montage, settings.rate, calibration=12.0)
    found: list[CompressedWindow] = []
    for number in itertools.count():
        first = number * _CHUNK
        data = headset.next(_CHUNK)
        chunk = Chunk(data, first, first / settings.rate, 0.0, 0.0, settings.montage, settings.rate, 0)
        found += [step for step in session.feed(chunk) if isinstance(step, CompressedWindow)]
        if len(found) >= count:
            break
    return found[:count]


class ReaderProcess:
    """`python -m daemon reader` with a configuration of its own; its log is `NAME.log` in `folder`."""

    def __init__(
        self,
        folder: Path,
        name: str,
        mqtt: str,
        bundle: Path | None = None,
        within: Sequence[str] = (),
    ) -> None:
        """mqtt: lines for its table `[mqtt]`. within: the command that starts it elsewhere."""
        self.name = name
        self.log = folder / f"{name}.log"
        config = folder / f"{name}.toml"
        model = "" if bundle is None else f'[model]\nbundle = "{bundle}"\n'
        config.write_text(f'[mqtt]\nnode = "{name}"\n{mqtt}\n{model}[log]\nformat = "json"\n')
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*within, sys.executable, "-m", "daemon", "reader", "--config", str(config)],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=environment(),
            )

    def said(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def wait_said(self, event: str, seconds: float = 60.0) -> dict[str, object]:
        """Blocks until it logs `event`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for line in self.said():
                if line.get("event") == event:
                    return line
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"{self.name} has not said {event!r}: {self.log.read_text()}")

    def waits_for_questions(self) -> None:
        self.wait_said("waiting for questions")

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> dict[str, int]:
        """As systemd would. Returns what it counted."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.log.read_text()
        last = self.said()[-1]
        assert last["event"] == "stopped", last
        return {key: value for key, value in last.items() if isinstance(value, int)}

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def accounted(counts: dict[str, int]) -> bool:
    """Whether every question that a reader heard has become something; nothing is held any more."""
    return counts["heard"] == sum(value for key, value in counts.items() if key != "heard")
