"""The real daemon as its own process, with a broker, and headsets from another process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.demo.broker import embedded_broker
from tests.bench.machine import ROOT, ChildError, environment, lsl_settings
from tests.bench.subscriber import Subscriber

TOPICS = "eegcopilot/v1/bench/node"
# The shortest that a configuration may say: labels begin with the second window.
CALIBRATION_S = 4
_PREFIX = "bench"
_READY_S = 60.0


@dataclass(slots=True)
class Node:
    """ready_s: from the process's start to its READY."""

    process: subprocess.Popen[bytes]
    ready_s: float
    subscriber: Subscriber

    def stop(self) -> None:
        """As systemd would; the daemon tells its last health before it goes."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
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
    notify = folder / "notify"
    notify.unlink(missing_ok=True)
    subscriber = Subscriber(port, f"{TOPICS}/#")
    with (
        contextlib.closing(subscriber),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waiting,
        (folder / "daemon.log").open("ab") as log,
    ):
        waiting.bind(str(notify))
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon", "run", str(config)],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env=environment(LSLAPICFG=str(folder / "lsl_api.cfg"), NOTIFY_SOCKET=str(notify)),
        )
        try:
            _await_ready(waiting, process, folder)
            yield Node(process, time.perf_counter() - began, subscriber)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _await_ready(waiting: socket.socket, process: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + _READY_S
    waiting.settimeout(0.2)
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(TimeoutError):
            if b"READY=1" in waiting.recv(4096).split(b"\n"):
                return
    last = (folder / "daemon.log").read_text().strip().splitlines() or ["nothing"]
    raise ChildError(f"the daemon did not get ready; it said: {last[-1]}")


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
            f'source = {{kind = "lsl", name = "{_PREFIX}{n}"}}',
        ]
    return "\n".join(lines) + "\n"
