"""A stream's state follows its samples."""

from daemon.messages import Calibration
from daemon.sources.base import SourceEvent
from daemon.vigil import OFFLINE_AFTER_S, Vigil


def event(state: str, detail: str = "") -> SourceEvent:
    return SourceEvent(state, detail, 0.0)  # type: ignore[arg-type]


def states(vigil: Vigil, *times: float) -> list[str]:
    return [vigil.state(time)[0] for time in times]


def test_connected_without_samples_is_offline() -> None:
    vigil = Vigil(2.0, 0.5)
    assert vigil.state(0.0) == ("offline", "connecting")
    vigil.event(event("online", "a headset"))
    assert states(vigil, 0.0, 100.0) == ["offline", "offline"]


def test_from_calibration_to_silence() -> None:
    vigil = Vigil(2.0, 0.5)
    vigil.samples(10.0)
    assert vigil.state(10.0)[0] == "calibrating"
    vigil.calibration = None
    assert vigil.state(10.0) == ("online", "")
    assert states(vigil, 12.0, 13.5, 10.1 + OFFLINE_AFTER_S) == ["online", "stalled", "offline"]
    vigil.samples(50.0)
    assert vigil.state(50.0) == ("online", "")


def test_lost_is_offline_at_once_and_samples_end_it() -> None:
    vigil = Vigil(2.0, 0.5)
    vigil.calibration = None
    vigil.samples(10.0)
    vigil.event(event("lost", "the cable"))
    assert vigil.state(10.0) == ("offline", "the cable")
    vigil.samples(11.0)
    assert vigil.state(11.0) == ("online", "")


def test_a_warning_changes_nothing() -> None:
    vigil = Vigil(2.0, 0.5)
    vigil.samples(0.0)
    vigil.event(event("warning", "rate"))
    assert vigil.state(0.0)[0] == "calibrating"


def test_bad_channels_degrade_until_mended() -> None:
    vigil = Vigil(2.0, 0.5)
    vigil.calibration = None
    vigil.samples(0.0)
    vigil.window(0.3, "")
    assert vigil.state(0.0) == ("degraded", "good channels: 30% of the montage, 50% wanted")
    vigil.window(0.0, "1 good channels, 4 needed")
    assert vigil.state(0.0) == ("degraded", "1 good channels, 4 needed")
    vigil.window(0.9, "")
    assert vigil.state(0.0)[0] == "online"
    vigil.calibration = Calibration(0.0, 60.0)
    vigil.window(0.3, "")
    assert vigil.state(0.0)[0] == "calibrating"
    vigil.refuse("two electrodes are too few")
    assert vigil.state(0.0) == ("degraded", "two electrodes are too few")
