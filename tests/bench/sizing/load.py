"""A ward's messages through one real mosquitto: what it costs, how late they are, and whether all arrive."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.parts.machine import ROOT, cpu_s, environment, memory_mb

sys.path.insert(0, str(ROOT / "tests" / "parts"))

from broker import Mosquitto

# As systemd/mosquitto/eeg-copilot.conf has them, but for the number of connections.
_SETTINGS = "allow_anonymous true\nset_tcp_nodelay true\nmax_inflight_messages 100\nmax_queued_messages 10000"
# Processes that play nodes: one alone would be busier than the broker.
_PLAYERS = 2


@dataclass(frozen=True, slots=True)
class Load:
    """wanted, offered: readings a second. missed: steps in sequence numbers. p50_ms, p99_ms: from a reading's
    making to the first listener. broker_cores: its processor time in the time; the others are this harness.
    """

    beds: int
    connections: int
    listeners: int
    wanted: float
    offered: float
    sent: int
    confirmed: int
    heard: int
    missed: int
    p50_ms: float
    p99_ms: float
    broker_cores: float
    broker_mb: float
    players_cores: float
    listeners_cores: float

    @property
    def whole(self) -> bool:
        """Whether every reading was confirmed, and heard by each listener."""
        return self.sent == self.confirmed and self.heard == self.sent * self.listeners and self.missed == 0


def play(folder: Path, beds: int, per_node: int, rate: float, seconds: float, listeners: int = 1) -> Load:
    """rate: readings a second of each bed, spread over it. per_node: beds that share a connection."""
    with contextlib.ExitStack() as whole:
        broker = whole.enter_context(a_broker(folder))
        assert broker.pid is not None
        ears = [whole.enter_context(_process("listener", broker.port)) for _ in range(listeners)]
        share = beds // _PLAYERS // per_node * per_node
        cuts = [0, share, beds] if share else [0, beds]
        players = [
            whole.enter_context(_process("nodes", broker.port, first, end - first, per_node, rate, seconds))
            for first, end in itertools.pairwise(cuts)
        ]
        before, began = cpu_s(broker.pid), time.monotonic()
        for player in players:
            _tell(player)
        played = [_account(player) for player in players]
        took = time.monotonic() - began
        used, megabytes = cpu_s(broker.pid) - before, memory_mb(broker.pid)
        for ear in ears:
            _tell(ear)
        heard = [_account(ear) for ear in ears]
    sent = sum(one["sent"] for one in played)
    return Load(
        beds=beds,
        connections=-(-beds // per_node) + listeners,
        listeners=listeners,
        wanted=beds * rate,
        offered=sent / max(one["took_s"] for one in played),
        sent=sent,
        confirmed=sum(one["confirmed"] for one in played),
        heard=sum(one["heard"] for one in heard),
        missed=sum(one["missed"] for one in heard),
        p50_ms=heard[0]["p50_ms"],
        p99_ms=heard[0]["p99_ms"],
        broker_cores=used / took,
        broker_mb=megabytes,
        players_cores=sum(one["cpu_s"] for one in played) / took,
        listeners_cores=sum(one["cpu_s"] for one in heard) / took,
    )


@contextlib.contextmanager
def a_broker(folder: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(folder, settings=_SETTINGS).start()
    try:
        yield broker
    finally:
        broker.stop()


@contextlib.contextmanager
def _process(module: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.bench.sizing.{module}", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"{module} ended early"
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        with process:
            pass


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _account(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    told: dict[str, Any] = json.loads(process.stdout.readline())
    return told
