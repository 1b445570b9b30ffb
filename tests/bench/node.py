"""The real daemon as its own process, with a broker, and headsets from another process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.demo.broker import embedded_broker
from tests.bench.subscriber import Subscriber
from tests.parts.daemon_process import DaemonProcess
from tests.parts.machine import ROOT, ChildError, environment, lsl_settings

TOPICS = "eegcopilot/v1/bench/node"
# The shortest that a configuration may say: labels begin with the second window.
CALIBRATION_S = 4
_PREFIX = "bench"


@dataclass(slots=True)
class Node:
    daemon: DaemonProcess
    subscriber: Subscriber

    @property
    def pid(self) -> int:
        return self.daemon.pid

    @property
    def ready_s(self) -> float:
        """From the process's start to its READY."""
        return self.daemon.ready_s

    def stop(self) -> None:
        self.daemon.stop()
        time.sleep(0.3)  # for the last messages to reach the subscriber


class Headsets:
    """A process of outlets. sent: samples of each, known after `finish`."""

    def __init__(
        self,
        folder: Path,
        count: int,
        channels: int,
        rate: float,
        *,
        wait: bool = True,
        in_step: bool = False,
    ) -> None:
        self.sent: dict[str, int] = {}
        options = ["--count", count, "--channels", channels, "--rate", rate, "--prefix", _PREFIX]
        flags = ["--wait"] * wait + ["--in-step"] * in_step
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.outlets", *map(str, options), *flags],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment(LSLAPICFG=str(folder / "lsl_api.cfg")),
        )
        self.line()

    def line(self) -> str:
        """What it prints next: `ready`, then `playing`."""
        assert self.process.stdout is not None
        said = self.process.stdout.readline().decode().strip()
        if not said:
            raise ChildError("the simulated headsets ended early")
        return said

    def finish(self) -> None:
        """No more samples; the outlets stay."""
        self.process.send_signal(signal.SIGTERM)
        self.sent = json.loads(self.line())

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextlib.contextmanager
def stage(folder: Path) -> Iterator[int]:
    """Broker and LSL network for what runs in `folder`; gives the broker's port."""
    lsl_settings(folder)
    with embedded_broker(folder) as port:
        yield port


@contextlib.contextmanager
def headsets(
    folder: Path, count: int, channels: int, rate: float, *, in_step: bool = False
) -> Iterator[Headsets]:
    found = Headsets(folder, count, channels, rate, in_step=in_step)
    try:
        yield found
    finally:
        found.end()


@contextlib.contextmanager
def node(folder: Path, port: int, streams: int, bundle: Path | None = None) -> Iterator[Node]:
    """`python -m daemon run` on LSL streams as `headsets` makes them, seen READY; ended whatever happens."""
    config = folder / "bench.toml"
    config.write_text(_configuration(port, streams, bundle))
    with contextlib.closing(Subscriber(port, f"{TOPICS}/#")) as subscriber:
        daemon = DaemonProcess(config, LSLAPICFG=str(folder / "lsl_api.cfg"))
        try:
            yield Node(daemon, subscriber)
        finally:
            daemon.end()


def _configuration(port: int, streams: int, bundle: Path | None) -> str:
    state = f"state-{os.urandom(4).hex()}"  # an outbox of its own: nothing of an earlier run is sent
    lines = [
        "[mqtt]",
        f"port = {port}",
        'site = "bench"',
        'node = "node"',
        "[state]",
        f'directory = "{state}"',
    ]
    if bundle is not None:
        lines += ["[model]", f'bundle = "{bundle}"']
    for n in range(streams):
        lines += [
            "[[stream]]",
            f'name = "{_PREFIX}{n}"',
            'subject = "pseudo-bench"',
            f"calibration_s = {CALIBRATION_S}",
            # They begin when all are connected: who waits for that has not stalled.
            f'source = {{kind = "lsl", name = "{_PREFIX}{n}", stall_s = 60}}',
        ]
    return "\n".join(lines) + "\n"
