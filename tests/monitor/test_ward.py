"""What nodes say, whatever it is, and what screens are told of it then."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import structlog

from daemon.messages import BundleInfo, Info, StreamInfo, StreamStatus, iso
from daemon.monitor.hub import Hub
from daemon.monitor.settings import Ward as WardSettings
from daemon.monitor.ward import MOST_BEDS, MOST_OF_NODE, Ward

NOW = 1.8e9


def info(*streams: str) -> Info:
    return Info(
        session=1,
        started=iso(NOW),
        versions={},
        bundle=BundleInfo("x", "0", [], ""),
        config_sha256="0",
        streams=[StreamInfo(name, "simulator") for name in streams],
        time=iso(NOW),
    )


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


def test_one_node_cannot_crowd_out_the_others_beds() -> None:
    ward = listening()
    ward.hear("eegcopilot/v1/n/bad/info", info("<b>", *(f"s{n}" for n in range(2000))), False, NOW)
    for n in range(2000):
        ward.hear(f"eegcopilot/v1/n/bad/t{n}/status", status(), False, NOW)
    assert len(ward.beds) == MOST_OF_NODE and "n/bad/<b>" not in ward.beds
    ward.hear("eegcopilot/v1/n/good/status-1/status", status(), False, NOW)
    assert "n/good/status-1" in ward.beds


def test_a_bed_that_was_only_told_of_makes_room_for_one_that_speaks() -> None:
    ward = listening()
    ward.hear("eegcopilot/v1/n/r/info", info(*(f"s{n}" for n in range(MOST_OF_NODE))), False, NOW)
    assert not ward.has_lost_beds()
    for n in range(MOST_OF_NODE):
        ward.hear(f"eegcopilot/v1/n/r/t{n}/status", status(), False, NOW)
    assert ward.beds.keys() == {f"n/r/t{n}" for n in range(MOST_OF_NODE)}
    assert ward.has_lost_beds() and not ward.has_lost_beds()
    # A ward full of what nodes merely say of themselves has room for a bed of another node.
    for n in range(MOST_BEDS // 10):
        ward.hear(f"eegcopilot/v1/n/r{n}/info", info(*(f"s{k}" for k in range(MOST_OF_NODE))), False, NOW)
    assert len(ward.beds) == MOST_BEDS
    ward.hear("eegcopilot/v1/n/late/bed/status", status(), False, NOW)
    assert len(ward.beds) == MOST_BEDS and "n/late/bed" in ward.beds
    # Those that speak stay.
    assert {f"n/r/t{n}" for n in range(MOST_OF_NODE)} < ward.beds.keys()


def test_systemd_is_told_of_life_while_screens_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)

    async def life() -> bytes:
        running = asyncio.create_task(Hub(listening()).run())
        said = await asyncio.to_thread(systemd.recv, 4096)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return said

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(30)
        assert asyncio.run(life()) == b"WATCHDOG=1"


def test_screens_forget_a_bed_that_made_room() -> None:
    """Which no change of a bed tells them: they get the whole anew."""

    async def told() -> list[bytes]:
        ward = listening()
        ward.hear("eegcopilot/v1/n/r/info", info(*(f"s{n}" for n in range(MOST_OF_NODE))), False, NOW)
        hub = Hub(ward)
        running = asyncio.create_task(hub.run())
        with hub.screen("") as screen:
            events = hub.events(screen)
            seen = [await anext(events)]
            ward.hear("eegcopilot/v1/n/r/late/status", status(), False, NOW)
            hub.wake()
            seen.append(await anext(events))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return seen

    first, second = asyncio.run(told())
    assert second.startswith(b"event: whole")
    assert b"n/r/s0" in first and b"n/r/s0" not in second and b"n/r/late" in second
