"""A node that lies or floods, heard by a real monitor: the other beds' screens go on."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from broker import Mosquitto
from paho.mqtt.enums import CallbackAPIVersion
from stack import Client, Stack, until

from daemon.messages import StreamStatus, encode, iso, stamped

BASE = "eegcopilot/v1/north"
HEAD: dict[str, Any] = {"id": "x", "seq": 1, "subject": "pseudo-1"}
MODEL = {"model": {"id": "m", "sha256": ""}}


@pytest.fixture(scope="module")
def lonely(ward_broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A monitor whose nodes are the tests themselves."""
    stack = Stack(tmp_path_factory.mktemp("lonely"), ward_broker, "")
    yield stack
    stack.end()


@pytest.fixture
def node(ward_broker: Mosquitto) -> Iterator[paho.Client]:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", ward_broker.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def say(node: paho.Client, topic: str, payload: bytes | dict[str, Any], retain: bool = False) -> None:
    """Returns when the broker has it."""
    raw = payload if isinstance(payload, bytes) else json.dumps({"time": iso(time.time())} | payload).encode()
    node.publish(f"{BASE}/{topic}", raw, 1, retain).wait_for_publish(10)


def online() -> bytes:
    now = time.time()
    told = StreamStatus(state="online", since=iso(now), detail="", subject="pseudo-2")
    return encode(stamped(told, 1, now))


def hears(stack: Stack, node: paho.Client, bed: str) -> None:
    """Until a bed that speaks now is on the screen: everything said before has been dealt with."""
    say(node, f"{bed}/status", online())
    wall = Client(stack.port).log_in("wall")
    until(lambda: f"north/{bed}" in wall.whole()["beds"], 30, f"{bed} is shown")


def episode(**more: object) -> dict[str, Any]:
    now = iso(time.time())
    told = {"schema": "eegcopilot.episode/1", "episode": "e", "phase": "begin", "label": "calm",
            "start": now, "end": now, "readings": 1, "p_mean": 0.5}  # fmt: skip
    return HEAD | MODEL | told | more


def emotion(**more: object) -> dict[str, Any]:
    now = iso(time.time())
    told = {"schema": "eegcopilot.emotion/1", "label": "calm", "p": {"calm": 0.9, "stress": 0.1},
            "window": {"start": now, "end": now, "gap_pct": 0, "clock_unc_ms": 0}, "p_smooth": {},
            "abstained": False, "reason": "", "quality": 1,
            "latency_ms": {"label": 1, "total": 1}}  # fmt: skip
    return HEAD | MODEL | told | more


def test_times_that_are_none_end_no_screen(lonely: Stack, node: paho.Client) -> None:
    lie = HEAD | {"schema": "eegcopilot.stream-status/1", "state": "offline", "since": "never", "detail": ""}
    say(node, "room-1/bed-1/status", lie, retain=True)
    say(node, "room-1/bed-1/episode", episode(start="x", end="x"))
    say(node, "room-1/bed-1/emotion", emotion())
    try:
        hears(lonely, node, "room-2/bed-1")
        # What was retained comes again at the next start.
        assert lonely.monitor.end() == 0
        lonely.start_monitor()
        hears(lonely, node, "room-2/bed-2")
    finally:
        say(node, "room-1/bed-1/status", b"", retain=True)


def draft(**about: object) -> dict[str, Any]:
    """Of which only the name travels."""
    told = {"id": "d", "version": 1, "status": "preliminary", "sha256": "0" * 64, "label": ""} | about
    return HEAD | {"schema": "eegcopilot.draft/1", "episode": "e", "trigger": "t", "draft": told,
                   "record": None, "fhir": None, "audit": {"entry": 1, "hash": ""}}  # fmt: skip


@pytest.mark.parametrize("version", [2**63, 2**31, 0])
def test_a_version_that_no_record_has_is_not_taken_in(lonely: Stack, node: paho.Client, version: int) -> None:
    say(node, "room-1/bed-1/emr/draft", draft(id=f"v{version}", version=version))
    say(node, "room-1/bed-1/emr/draft", draft(id=f"after-v{version}"))
    hears(lonely, node, f"room-2/after-{version}")
    lee = Client(lonely.port).log_in("dr.lee")
    kept = {one["id"] for one in lee.get("/api/beds/north/room-1/bed-1/records").json["records"]}
    assert f"after-v{version}" in kept and f"v{version}" not in kept


def entered(stack: Stack, deed: str) -> list[dict[str, Any]]:
    """What the monitor's trail says of it, in order."""
    with sqlite3.connect(stack.database) as db:
        rows = [json.loads(row[0]) for row in db.execute("select entry from audit order by number")]
    db.close()
    return [one for one in rows if one["action"] == deed]


def test_a_flood_of_bad_records_leaves_a_count_and_other_nodes_their_entries(
    lonely: Stack, node: paho.Client
) -> None:
    for n in range(300):
        say(node, "room-3/bed-1/emr/draft", draft(id=f"bad-{n}") | {"record": {}})
    say(node, "room-4/bed-1/emr/draft", draft(id="bad") | {"record": {}})
    hears(lonely, node, "room-4/bed-2")
    refused = entered(lonely, "record refused")
    flood = [one["detail"] for one in refused if one["actor"] == "north/room-3/bed-1"]
    assert 60 <= len(flood) < 150
    assert len(refused) == len(flood) + 1
    assert lonely.monitor.end() == 0
    rest = entered(lonely, "refusals left out")[-1]["detail"]
    assert rest["source"] == "node north/room-3"
    assert len(flood) + sum(one.get("left_out_before", 0) for one in flood) + rest["left_out"] == 300
    lonely.start_monitor()


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "pseudo-\u0142"},
        {"subject": 'pseudo-1"; filename="x.exe'},
        {"draft": draft()["draft"] | {"id": "\u0142" * 8}},
        {"draft": draft()["draft"] | {"label": "x" * 100_000}},
        {"episode": "x" * 100_000},
    ],
)
def test_no_name_of_a_file_or_a_bed_is_the_nodes_to_choose_freely(
    lonely: Stack, node: paho.Client, wrong: dict[str, Any]
) -> None:
    unique = time.time_ns()
    bed = f"room-5/bed-{unique}"
    say(node, f"{bed}/emr/draft", draft(id=f"named-{unique}") | wrong)
    hears(lonely, node, bed)
    lee = Client(lonely.port).log_in("dr.lee")
    assert lee.get(f"/api/beds/north/{bed}/records").json["records"] == []


def test_a_monitor_that_can_hear_no_more_ends_so_that_it_is_started_anew(
    ward_broker: Mosquitto, node: paho.Client, tmp_path: Path
) -> None:
    stack = Stack(tmp_path, ward_broker, "", way='name = "other"')
    try:
        hears(stack, node, "room-1/bed-1")
        with sqlite3.connect(stack.database) as db:
            db.execute("drop view heard")
        db.close()
        say(node, "room-1/bed-1/emr/draft", draft())
        assert stack.monitor.wait() == 1
        said = [
            line
            for line in stack.monitor.log.read_text().splitlines()
            if "a message ends the monitor" in line
        ]
        assert len(said) == 1 and "no such table: heard" in said[0]
    finally:
        stack.end()
