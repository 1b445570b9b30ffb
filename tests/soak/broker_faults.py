"""What may happen to the broker and to the cable that leads there."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.soak.faults import Fault, fresh_reading
from tests.soak.laboratory import FULL_BYTES, Laboratory

# Slower than what three streams say, so that a backlog grows.
_SLOW_BYTES_PER_S = 1500.0


@contextmanager
def _killed(lab: Laboratory) -> Iterator[None]:
    lab.broker.kill()
    try:
        yield
    finally:
        lab.broker.start()
        lab.ears.again()


@contextmanager
def _hung(lab: Laboratory) -> Iterator[None]:
    lab.broker.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        lab.broker.signal(signal.SIGCONT)


@contextmanager
def _forgetful(lab: Laboratory) -> Iterator[None]:
    lab.broker.kill()
    (lab.broker.folder / "mosquitto.db").unlink(missing_ok=True)
    try:
        yield
    finally:
        lab.broker.start()
        lab.ears.again()


@contextmanager
def _full(lab: Laboratory) -> Iterator[None]:
    lab.broker.stop()
    lab.broker.configure(lab.broker_settings(full=True))
    lab.broker.start()
    try:
        yield
    finally:
        lab.broker.stop()
        lab.broker.configure(lab.broker_settings())
        lab.broker.start()
        lab.ears.again()


@contextmanager
def _denying(lab: Laboratory) -> Iterator[None]:
    lab.deny(True)
    lab.broker.signal(signal.SIGHUP)
    try:
        yield
    finally:
        lab.deny(False)
        lab.broker.signal(signal.SIGHUP)


@contextmanager
def _slow(lab: Laboratory) -> Iterator[None]:
    lab.line.bytes_per_s = _SLOW_BYTES_PER_S
    try:
        yield
    finally:
        lab.line.bytes_per_s = None


@contextmanager
def _dead_line(lab: Laboratory) -> Iterator[None]:
    lab.line.bytes_per_s = 0.0
    try:
        yield
    finally:
        lab.line.bytes_per_s = None
        lab.line.cut()


def _fault(name: str, what: str, lasts_s: tuple[float, float], inflict: object) -> Fault:
    sign = "a reading made afterwards is heard"
    return Fault(name, what, "broker", lasts_s, inflict, fresh_reading, sign)  # type: ignore[arg-type]


FAULTS = (
    _fault("broker-killed", "SIGKILL, begun again with what it had saved", (3, 12), _killed),
    _fault("broker-hung", "SIGSTOP: connected and silent", (4, 30), _hung),
    _fault("broker-forgetful", "SIGKILL, begun again with its data lost", (3, 8), _forgetful),
    _fault("broker-full", f"refuses messages above {FULL_BYTES} bytes, one in flight", (5, 20), _full),
    _fault("broker-denying", "its access rules deny every publish (reason 135)", (4, 15), _denying),
    _fault("line-slow", f"passes on {_SLOW_BYTES_PER_S:g} bytes a second", (5, 30), _slow),
    _fault("line-dead", "takes everything, passes nothing on, then breaks", (4, 30), _dead_line),
)
