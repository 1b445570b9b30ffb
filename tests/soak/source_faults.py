"""What may happen to headsets."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.soak.faults import Fault, samples_of, window_of
from tests.soak.laboratory import CYTON, LSL, Laboratory

_ONE, _TWO = LSL
# What an outlet may still send while its successors are being started: some minutes.
_AHEAD = 100_000


@contextmanager
def _killed(lab: Laboratory) -> Iterator[None]:
    lab.headsets[_ONE].newest.kill()
    try:
        yield
    finally:
        lab.headsets[_ONE].start()


@contextmanager
def _hung(lab: Laboratory) -> Iterator[None]:
    process = lab.headsets[_ONE].newest.process
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextmanager
def _doubled(lab: Laboratory) -> Iterator[None]:
    """Two of one name, when the daemon has to look for its stream anew."""
    headset = lab.headsets[_TWO]
    former = headset.newest
    successor = headset.start(ahead=_AHEAD)
    twin = headset.start(twin=True)
    former.kill()
    successor.unheard = successor.sent
    try:
        yield
    finally:
        twin.end()


@contextmanager
def _changed(lab: Laboratory) -> Iterator[None]:
    """Comes back with other channels and another rate, and later as it was."""
    headset = lab.headsets[_TWO]
    headset.newest.end()
    headset.start(channels=16, rate=200.0)
    try:
        yield
    finally:
        headset.newest.end()
        headset.start()


@contextmanager
def _unplugged(lab: Laboratory) -> Iterator[None]:
    lab.cyton.board.unplug()
    try:
        yield
    finally:
        lab.cyton.board.plug()


@contextmanager
def _dropping(lab: Laboratory) -> Iterator[None]:
    lab.cyton.dropping = True
    try:
        yield
    finally:
        lab.cyton.dropping = False


@contextmanager
def _corrupt(lab: Laboratory) -> Iterator[None]:
    lab.cyton.corrupting = True
    try:
        yield
    finally:
        lab.cyton.corrupting = False


def _fault(name: str, what: str, stream: str, lasts_s: tuple[float, float], inflict: object) -> Fault:
    """Without samples the status tells; where only some are missing, the first whole window does."""
    gone = name not in ("cyton-dropping", "cyton-corrupt")
    sign = "status: samples come" if gone else "first whole window (4 s of warm-up and 10 s)"
    healed = samples_of(stream) if gone else window_of(stream)
    return Fault(name, what, stream, lasts_s, inflict, healed, sign)  # type: ignore[arg-type]


FAULTS = (
    _fault("outlet-killed", "SIGKILL, begun again under another source_id", _ONE, (3, 8), _killed),
    _fault("outlet-hung", "SIGSTOP: there and silent; then sends all that is overdue", _ONE, (6, 15), _hung),
    _fault("outlet-doubled", "two outlets of one name", _TWO, (5, 15), _doubled),
    _fault("outlet-changed", "16 channels at 200 Hz instead of 19 at 250", _TWO, (6, 25), _changed),
    _fault("cyton-unplugged", "its terminal vanishes", CYTON, (4, 10), _unplugged),
    _fault("cyton-dropping", "loses single packets and bursts", CYTON, (4, 10), _dropping),
    _fault("cyton-corrupt", "sends damaged packets", CYTON, (4, 10), _corrupt),
)
