"""What nodes say, whatever it is, and what screens are told of it then."""

from __future__ import annotations

import structlog

from daemon.messages import StreamStatus, iso
from daemon.monitor.settings import Ward as WardSettings
from daemon.monitor.ward import Ward

NOW = 1.8e9


def status(since: str = "") -> StreamStatus:
    return StreamStatus(
        state="offline", since=since or iso(NOW), detail="", subject="pseudo-1", time=iso(NOW)
    )


def listening() -> Ward:
    ward = Ward(WardSettings(), NOW)
    ward.broker(True, NOW)
    return ward


def test_a_bed_that_cannot_be_shown_takes_no_other_with_it() -> None:
    ward = listening()
    ward.hear("eegcopilot/v1/n/r/good/status", status(), False, NOW)
    with structlog.testing.capture_logs() as logs:
        # Past decoding, which would not have let it through.
        ward.hear("eegcopilot/v1/n/r/bad/status", status("never"), False, NOW)
        ward.look(NOW + 1)
    assert [one["bed"] for one in logs] == ["n/r/bad"]
    beds = ward.snapshot(NOW + 1)["beds"]
    assert beds["n/r/good"]["truth"].state == "offline"
    assert beds["n/r/bad"]["truth"].state == "unknown"
    assert ward.changes(ward.beds.values(), NOW + 1).keys() == {"n/r/good", "n/r/bad"}
    ward.hear("eegcopilot/v1/n/r/bad/status", status(), False, NOW + 2)
    assert ward.snapshot(NOW + 2)["beds"]["n/r/bad"]["truth"].state == "offline"
