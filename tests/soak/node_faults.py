"""What may happen to the daemon itself and to the machine under it."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.soak.faults import Fault, any_reading
from tests.soak.laboratory import Laboratory

_HOUR_S = 3600
_SPARE_BYTES = 8 * 2**20  # what it may still map when memory is squeezed
_UP_S = 60.0


@contextmanager
def _killed(lab: Laboratory) -> Iterator[None]:
    lab.node.signal(signal.SIGKILL)
    yield


@contextmanager
def _blocked(lab: Laboratory) -> Iterator[None]:
    """From outside, all its threads: none of them may be asked to block itself."""
    lab.node.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        lab.node.signal(signal.SIGCONT)


@contextmanager
def _clock(lab: Laboratory, step_s: int) -> Iterator[None]:
    lab.clock.step(step_s)
    try:
        yield
    finally:
        lab.clock.step(0)


@contextmanager
def _forward(lab: Laboratory) -> Iterator[None]:
    with _clock(lab, _HOUR_S):
        yield


@contextmanager
def _back(lab: Laboratory) -> Iterator[None]:
    with _clock(lab, -_HOUR_S):
        yield


@contextmanager
def _disk_full(lab: Laboratory) -> Iterator[None]:
    lab.disk.fill(lab.node.pid)
    try:
        yield
    finally:
        lab.disk.free()


@contextmanager
def _squeezed(lab: Laboratory) -> Iterator[None]:
    pid = lab.node.pid
    mapped = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    _limit(pid, mapped + _SPARE_BYTES)
    try:
        yield
    finally:
        _limit(pid, resource.RLIM_INFINITY)


def _limit(pid: int | None, size: int) -> None:
    with suppress(ProcessLookupError):  # it did not survive, and begins anew without a limit
        if pid is not None:
            resource.prlimit(pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


@contextmanager
def _replaced(lab: Laboratory) -> Iterator[None]:
    """Under way the model in memory goes on; a daemon that begins with the other file refuses it."""
    model = lab.bundle / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 4))
    since, began = len(lab.ears.heard), time.time()
    try:
        yield
        if lab.ears.wait(lambda heard: any_reading(heard, began), since, _UP_S) is None:
            lab.problems.append("model-replaced: readings ended though the model was in memory")
        lab.node.stop()
        lab.node.start()
        if lab.node.up(_UP_S) or not lab.node.refused:
            lab.problems.append("model-replaced: a damaged model was not refused with exit code 78")
    finally:
        model.write_bytes(whole)
        lab.node.start()


def _no_clock(lab: Laboratory) -> str:
    return "" if lab.clock.environment else "there is no C compiler to make the clock with"


def _fault(name: str, what: str, lasts_s: tuple[float, float], inflict: object, **more: object) -> Fault:
    sign = "a reading sent afterwards is heard"
    return Fault(name, what, "node", lasts_s, inflict, any_reading, sign, **more)  # type: ignore[arg-type]


FAULTS = (
    _fault("node-killed", "SIGKILL; a supervisor begins it again", (0, 0), _killed, ends_node=True),
    _fault("node-blocked", "SIGSTOP of the daemon: its event loop stands still", (4, 12), _blocked),
    _fault("clock-forward", "steps on by an hour, and back", (3, 20), _forward, impossible=_no_clock),
    _fault("clock-back", "steps back by an hour, and on", (3, 20), _back, impossible=_no_clock),
    _fault("disk-full", "nothing fits on the state directory's disk any more", (4, 20), _disk_full),
    _fault("memory-squeezed", "may map 8 MiB more than it does", (4, 20), _squeezed, ends_node=True),
    _fault("model-replaced", "another file in its place, under way", (2, 5), _replaced, ends_node=True),
)
