"""From a login to an obedient node, and no way past: the broker has the shipped access rules, the node's
signers have keys, and the monitor proves what it sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hospital import Hospital
from stack import PASSWORD, Client, Stack, until

from daemon.archive import FILE
from daemon.audit import verify
from pipeline.keys import new_key, public_text
from tests.parts.daemon_process import DaemonProcess

PLACE = "home/bedside-1/bed-1"
BED = f"/api/beds/{PLACE}"
SIGNERS = """\
windows = true
[[signer]]
id = "monitor"
role = "monitor"
public_key = "{monitor}"
may = ["calibrate", "patient", "draft", "ask"]
"""
WAY = """\
ca_file = "{ca}"
cert_file = "{pair.certificate}"
key_file = "{pair.key}"
"""
# Clinicians besides dr.lee, who is dr-1: a signer without a key here, one whom the node does not list, and
# one who would sign with the monitor's own key.
OTHERS = (("dr.bare", "dr-3"), ("dr.kim", "dr-2"), ("dr.sly", "monitor"))


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """With a node that obeys the monitor in all but signing, and dr-1."""
    made = Hospital(tmp_path_factory.mktemp("hospital"))
    made.broker.start()
    monitor = public_text(new_key(made.folder / "monitor.key"))
    node = None
    try:
        node = DaemonProcess(
            made.node(more=SIGNERS.format(monitor=monitor), source=", seed = 2, period_s = 12")
        )
        yield made
        assert node.stop() == 0
        assert verify(made.folder / "state" / FILE).bad is None
    finally:
        if node is not None:
            node.end()
        made.broker.stop()


@pytest.fixture(scope="module")
def signed(hospital: Hospital) -> Iterator[Stack]:
    """A monitor as the access rules' user `ward-1`; its keys are monitor's, dr-1's and dr-2's."""
    new_key(hospital.folder / "dr-2.key", PASSWORD.format("dr.kim"))
    stack = Stack(
        hospital.folder,
        hospital.broker,
        "",
        f'[keys]\ndirectory = "{hospital.folder}"',
        WAY.format(ca=hospital.ca.file, pair=hospital.pair("ward-1")),
    )
    try:
        root = Client(stack.port).log_in("root")
        for name, signer in OTHERS:
            put = {"name": name, "role": "clinician", "signer": signer, "password": PASSWORD.format(name)}
            assert root.post("/api/users", put).status == 200
        yield stack
    finally:
        stack.end()


def episodes(client: Client) -> Any:
    """Of the bed, once it is known and has some."""
    return client.whole(PLACE).get("detail", {}).get("episodes")


def newest(client: Client) -> dict[str, Any]:
    """The newest draft that nobody has decided on."""
    heard = client.get(f"{BED}/records").json["records"]
    return next((one for one in heard if one["status"] == "preliminary"), {})


def decision(draft: dict[str, Any], name: str) -> dict[str, Any]:
    names = {"draft": draft["id"], "version": draft["version"], "sha256": draft["sha256"]}
    return names | {"decision": "accept", "password": PASSWORD.format(name)}


def obeyed(hospital: Hospital) -> list[tuple[str, str]]:
    """Whose commands the node obeyed, and which."""
    entries = [entry for entry in hospital.trail() if entry["action"] == "command"]
    return [(entry["actor"], entry["detail"]["verb"]) for entry in entries]


def refused(hospital: Hospital) -> list[str]:
    """Why the node refused strangers, in its own trail."""
    return [one["detail"]["reason"] for one in hospital.trail() if one["action"] == "command refused"]


@pytest.mark.timeout(300)
def test_a_clinician_is_obeyed(hospital: Hospital, signed: Stack) -> None:
    lee = Client(signed.port).log_in("dr.lee")
    until(lambda: episodes(lee), 120, "an episode")
    # The plain monitor's screens and this one draw the codes: they came through the access rules.
    until(lambda: lee.whole(PLACE)["detail"]["windows"], what="codes")
    drafted = lee.post(f"{BED}/draft", {})
    assert drafted.status == 200, drafted.content
    draft = until(lambda: newest(lee), what="the draft is heard")
    done = lee.post(f"{BED}/sign", decision(draft, "dr.lee"))
    assert done.status == 200 and done.json["ok"], done.content
    until(
        lambda: [(r["status"], r["who"]) for r in lee.get(f"{BED}/records").json["records"]
                 if r["id"] == draft["id"]] == [("final", "dr-1")],
        what="the signed version is heard",
    )  # fmt: skip
    lines = lee.post(f"{BED}/ask", {"question": "What is the present state?"}).content.splitlines()
    assert json.loads(lines[-1])["ok"], lines
    assert len(lines) > 1
    assert lee.post(f"{BED}/calibrate", {}).json["ok"]
    wanted = [("monitor", "draft"), ("dr-1", "sign"), ("monitor", "ask"), ("monitor", "calibrate")]
    until(lambda: obeyed(hospital)[-4:] == wanted, 10, "the node's trail has all four")


@pytest.mark.timeout(300)
def test_nobody_else_is(hospital: Hospital, signed: Stack) -> None:
    lee = Client(signed.port).log_in("dr.lee")
    until(lambda: episodes(lee), 120, "an episode")
    assert lee.post(f"{BED}/draft", {}).status == 200
    draft = until(lambda: newest(lee), what="the draft is heard")
    told: list[str] = []  # by the node, in its trail
    before = len(refused(hospital))
    for name, why, reaches_node in (
        ("dr.kim", "'dr-2' is no signer of this node", True),
        ("dr.sly", "'monitor' may not sign", True),
        ("dr.bare", "dr-3.key: cannot be read", False),
        ("dr.new", "tied to no signer", False),
    ):
        answer = Client(signed.port).log_in(name).post(f"{BED}/sign", decision(draft, name))
        assert answer.status == 409 and why in answer.json["detail"], answer.content
        if reaches_node:
            told.append(answer.json["detail"])
    until(lambda: refused(hospital)[before:] == told, 10, "the node's trail has them in the same words")
    wall = Client(signed.port).log_in("wall")
    for verb, body in (("calibrate", {}), ("draft", {}), ("sign", decision(draft, "wall")),
                       ("ask", {"question": "How is it?"})):  # fmt: skip
        answer = wall.post(f"{BED}/{verb}", body)
        assert answer.status == 403 and "a viewer may not" in answer.json["detail"]
    # Whoever has no key here is refused before anything is sent; the monitor's trail has them all.
    root = Client(signed.port).log_in("root")
    entered = root.get("/api/audit").json["entries"]
    who = {one["actor"] for one in entered if one["action"] in ("sign", "signature refused")
           and one["detail"].get("ok") is not True}  # fmt: skip
    assert who == {"dr.kim", "dr.sly", "dr.bare", "dr.new"}
    assert newest(lee)["id"] == draft["id"], "it is still unsigned"


@pytest.mark.timeout(120)
def test_no_key_no_command(hospital: Hospital, signed: Stack) -> None:
    """The monitor's own key is taken away: whatever it would prove is refused, and nothing is sent."""
    lee = Client(signed.port).log_in("dr.lee")
    until(lambda: PLACE in lee.whole()["beds"], what="the bed is known")
    key, away = hospital.folder / "monitor.key", hospital.folder / "monitor.away"
    before = len(hospital.trail())
    key.rename(away)
    try:
        answer = lee.post(f"{BED}/calibrate", {})
        assert answer.status == 409 and "monitor.key: cannot be read" in answer.json["detail"]
        last = lee.post(f"{BED}/ask", {"question": "How is it?"}).json
        assert not last["ok"] and "monitor.key: cannot be read" in last["detail"]
    finally:
        away.rename(key)
    assert not [one for one in hospital.trail()[before:] if one["action"].startswith("command")]
    assert lee.post(f"{BED}/calibrate", {}).json["ok"]
