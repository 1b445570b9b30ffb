"""Nobody in: the daemon as a process, the broker as `systemd/mosquitto` sets it up, strangers at the door."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from broker import Listener
from certificates import Authority
from hospital import BASE, DAY, Hospital, hospital  # noqa: F401 (a fixture)
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from daemon.archive import FILE
from daemon.audit import verify
from daemon.signed_command import SignedCommand, seal
from pipeline.keys import new_key
from tests.parts.daemon_process import DaemonProcess

NOT_AUTHORIZED = 135  # MQTT 5, 3.4.2.1
CALIBRATE = f"{BASE}/cmd/bed-1/calibrate"


@pytest.fixture
def node(hospital: Hospital) -> Iterator[DaemonProcess]:  # noqa: F811
    hospital.broker.start()
    process = DaemonProcess(hospital.node(more="windows = true\n"))
    yield process
    process.end()


async def answer(ear: Listener, topic: str, payload: bytes) -> dict[str, Any]:
    """Publishes a command and waits for the answer that carries its mark."""
    mark = payload[-8:] + str(len(ear.heard)).encode()
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = mark
    assert await ear.client.send(topic, payload, 1, False, properties) < 128

    def answers() -> list[dict[str, Any]]:
        return [m for _, m, raw in ear.heard if getattr(raw.properties, "CorrelationData", b"") == mark]

    await ear.until(answers, 30)
    return answers()[0]


def log_of(process: DaemonProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.log.read_text().splitlines()]


def wait_log(process: DaemonProcess, key: str, part: str, times: int = 1) -> list[dict[str, Any]]:
    """Until so many lines hold `part` under `key`."""
    end = time.monotonic() + 60
    while len(said := [line for line in log_of(process) if part in str(line.get(key))]) < times:
        assert time.monotonic() < end, process.log.read_text()
        time.sleep(0.1)
    return said


def hears(process: DaemonProcess, times: int = 1) -> None:
    """Until it has subscribed to commands. times: connections in all its lives."""
    wait_log(process, "event", "broker connected", times)


def test_each_role_may_do_its_own_and_nothing_else(hospital: Hospital, node: DaemonProcess) -> None:  # noqa: F811
    hears(node)

    async def body() -> None:
        async with (
            hospital.person("monitor-1", "eegcopilot/#") as monitor,
            hospital.person("ward-1", "eegcopilot/#") as ward,
            hospital.person("dr-1", f"{BASE}/#") as doctor,
            hospital.person("bedside-1-x", "eegcopilot/#") as nobody,
        ):
            await monitor.until(lambda: monitor.under("bed-1/status"), 30)
            await doctor.until(lambda: doctor.under("bed-1/emotion"), 60)
            forged = json.dumps(doctor.under("bed-1/emotion")[-1] | {"label": "stress"}).encode()
            for who, topic in (
                (monitor, f"{BASE}/bed-1/emotion"),
                (monitor, CALIBRATE),
                (monitor, f"{BASE}/bed-1/emr/signed"),
                (ward, f"{BASE}/bed-1/emotion"),
                (ward, f"{BASE}/bed-1/emr/signed"),
                (ward, f"{BASE}/cmd/response"),
                (doctor, f"{BASE}/bed-1/emotion"),
                (doctor, f"{BASE}/cmd/response"),
                (doctor, f"{BASE}/status"),
                (nobody, f"{BASE}/bed-1/emotion"),
                (nobody, CALIBRATE),
            ):
                assert await who.client.send(topic, forged, 1, True) == NOT_AUTHORIZED, topic
            good = seal(CALIBRATE, "", "dr-1", hospital.doctor, time.time())
            assert (await answer(doctor, CALIBRATE, good))["ok"]
            readings = [m for m in doctor.under("bed-1/emotion") if m["label"] == "stress"]
            assert not [m for m in readings if m["id"] == json.loads(forged)["id"]]
            assert (await answer(ward, CALIBRATE, seal(CALIBRATE, "", "dr-1", hospital.doctor, time.time())))[
                "ok"
            ]
            await monitor.until(lambda: monitor.under("bed-1/window"), 60)
            await ward.until(lambda: ward.under("bed-1/window"), 60)
            heard = {topic.removeprefix(BASE) for topic, _, _ in ward.heard}
            assert "/cmd/response" in heard and not [t for t in heard if t.startswith("/cmd/bed-1")]
            heard = {topic.removeprefix(BASE) for topic, _, _ in monitor.heard}
            assert "/bed-1/emotion" in heard and not [t for t in heard if "/cmd/" in t or "/emr/" in t]
            assert nobody.heard == []
        log = (hospital.folder / "mosquitto.log").read_text()
        assert "Denied PUBLISH from eegcopilot-home-monitor-1" in log and "bed-1/emotion" in log
        assert "Denied PUBLISH from eegcopilot-home-bedside-1 " not in log

    asyncio.run(body())
    denied: list[tuple[str, str]] = []
    end = time.monotonic() + 30
    while len(denied) < 11 and time.monotonic() < end:
        time.sleep(0.2)
        entries = [entry for entry in hospital.trail() if entry["action"] == "publish denied"]
        denied = [(entry["detail"]["user"], entry["detail"]["topic"]) for entry in entries]
    assert ("monitor-1", f"{BASE}/bed-1/emotion") in denied and len(denied) == 11, denied
    assert node.stop() == 0
    assert verify(hospital.folder / "state" / FILE).bad is None


def test_commands_of_strangers_are_refused_and_entered(hospital: Hospital, node: DaemonProcess) -> None:  # noqa: F811
    stranger = new_key(hospital.folder / "stranger.key")

    def signed(topic: str = CALIBRATE, command: str = "", who: str = "dr-1", **more: Any) -> bytes:
        key = more.get("key", hospital.doctor)
        return seal(topic, command, who, key, time.time() + more.get("off", 0))

    changed = json.loads(signed())
    changed["command"] = "{}"
    good = signed()
    draft, sign = f"{BASE}/cmd/bed-1/draft", f"{BASE}/cmd/bed-1/sign"
    as_another = json.dumps({"draft": "0" * 32, "version": 1, "signer": "dr-2", "decision": "accept"})
    refused = [
        (CALIBRATE, b"", "signed commands only"),
        (CALIBRATE, b'{"schema": "eegcopilot.command/1"}', "topic: is missing"),
        (CALIBRATE, signed(who="dr-9", key=stranger), "no signer of this node"),
        (CALIBRATE, signed(key=stranger), "not signed by 'dr-1'"),
        (CALIBRATE, json.dumps(changed).encode(), "not signed by 'dr-1'"),
        (CALIBRATE, signed(topic=CALIBRATE.replace("bed-1", "bed-2")), "another topic"),
        (CALIBRATE, signed(off=-3600), "s ago"),
        (CALIBRATE, signed(off=3600), "s ahead"),
        (draft, signed(topic=draft), "may not draft"),
        (sign, signed(topic=sign, command=as_another), "cannot sign as 'dr-2'"),
        (CALIBRATE, good, "a replay"),
    ]

    async def body() -> None:
        async with hospital.person("dr-1", f"{BASE}/+", f"{BASE}/cmd/response") as doctor:
            assert (await answer(doctor, CALIBRATE, good))["ok"]
            for topic, payload, why in refused:
                told = await answer(doctor, topic, payload)
                assert not told["ok"] and why in told["detail"], (why, told)
                assert told["detail"].isprintable() and len(told["detail"]) < 400

    hears(node)
    asyncio.run(body())
    assert node.stop() == 0
    entered = [entry for entry in hospital.trail() if entry["action"] == "command refused"]
    reasons = [entry["detail"]["reason"] for entry in entered]
    assert len(reasons) == len(refused), reasons
    assert all(why in reason for reason, (_, _, why) in zip(reasons, refused, strict=True)), reasons
    assert {entry["actor"] for entry in entered} == {"stranger"}
    assert entered[2]["detail"]["claimed"] == "dr-9"
    obeyed = [entry for entry in hospital.trail() if entry["action"] == "command"]
    assert [entry["actor"] for entry in obeyed] == ["dr-1"]
    assert verify(hospital.folder / "state" / FILE).bad is None

    # Not after a restart either.
    again = DaemonProcess(hospital.node())

    async def replayed() -> None:
        async with hospital.person("dr-1", f"{BASE}/+", f"{BASE}/cmd/response") as doctor:
            assert "a replay" in (await answer(doctor, CALIBRATE, good))["detail"]

    try:
        hears(again, 2)
        asyncio.run(replayed())
    finally:
        again.end()


def test_a_flood_starves_no_sitting(hospital: Hospital, node: DaemonProcess) -> None:  # noqa: F811
    """Thousands of commands that are none, through a user whom the broker lets send some."""
    forged = json.loads(seal(CALIBRATE, "", "dr-1", hospital.doctor, time.time()))
    forged["nonce"] = "0" * 32
    payload = json.dumps(forged).encode()  # costs the node a check of the signature
    number = 3000

    async def body() -> None:
        async with hospital.person("dr-1", f"{BASE}/+", f"{BASE}/+/+") as doctor:
            await doctor.until(lambda: doctor.under("bed-1/emotion"), 60)
            for _ in range(number // 100):
                for _ in range(100):
                    doctor.client.send(CALIBRATE, payload, 0, False)
                await asyncio.sleep(0.05)
            good = seal(CALIBRATE, "", "dr-1", hospital.doctor, time.time())
            assert (await answer(doctor, CALIBRATE, good))["ok"]
            labels = len(doctor.under("bed-1/emotion"))
            await doctor.until(lambda: len(doctor.under("bed-1/emotion")) > labels + 1, 60)
            node.signal(signal.SIGTERM)
            await doctor.until(
                lambda: [m for m in doctor.under("/status") if m.get("state") == "stopped"], 60
            )
            health = doctor.under("bedside-1/health")[-1]
            assert health["mqtt"]["commands_refused"] >= number * 0.9, health["mqtt"]
            assert health["mqtt"]["commands_unanswered"] > number / 2
            bed = health["streams"]["bed-1"]
            assert bed["windows_dropped"] == bed["samples_dropped"] == bed["chunks_dropped"] == 0, bed
            responses = [m for m in doctor.under("cmd/response") if not m["ok"]]
            assert len(responses) < number / 10

    hears(node)
    asyncio.run(body())
    assert node.process.wait(30) == 0
    entered = [entry for entry in hospital.trail() if entry["action"] == "command refused"]
    assert 0 < len(entered) < 100
    # Nothing is passed over in silence.
    left_out = sum(entry["detail"].get("left_out_before", 0) for entry in hospital.trail())
    assert len(entered) + left_out >= number * 0.9


def run(config: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "daemon", "run", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, cwd=Path(__file__).parents[1])


def test_a_node_with_a_wrong_certificate_is_refused(hospital: Hospital) -> None:  # noqa: F811
    hospital.broker.start()
    other = Authority(hospital.folder, "other")
    result = run(hospital.node(other.client("bedside-1")))
    assert result.returncode == 78, result.stderr
    plain = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert len(plain) == 1 and "does not know the CA of mqtt.cert_file" in plain[0], result.stderr
    (entry,) = [entry for entry in hospital.trail() if entry["action"] == "node refused"]
    assert entry["actor"] == "broker" and "CA" in entry["detail"]["reason"]


def test_a_broker_whose_certificate_expired_stops_no_labels(hospital: Hospital) -> None:  # noqa: F811
    hospital.serve(hospital.ca.server(age=60 * DAY))
    hospital.broker.start()
    node = DaemonProcess(hospital.node())
    try:
        said = wait_log(node, "reason", "expired")
        assert said[0]["level"] == "error" and said[0]["reason"] == "the broker's certificate has expired"
        hospital.broker.stop()
        hospital.serve(hospital.ca.server())
        hospital.broker.start()

        async def told() -> None:
            async with hospital.person("dr-1", f"{BASE}/#") as doctor:
                await doctor.until(lambda: doctor.under("bed-1/emotion"), 60)

        asyncio.run(told())
        # One line for the whole time that it was so.
        assert len([line for line in log_of(node) if "expired" in str(line.get("reason"))]) == 1
        assert node.stop() == 0
    finally:
        node.end()


def test_a_command_is_read_as_it_was_signed() -> None:
    """The bytes that are signed are spelled out, for whoever signs in another language."""
    command = SignedCommand(
        "eegcopilot/v1/home/n/cmd/b/ask", '{"question":"Ä\\"?"}', "dr-1", "2026-01-31T12:00:00Z", "0" * 32
    )
    assert command.message().decode() == (
        '{"command":"{\\"question\\":\\"Ä\\\\\\"?\\"}","nonce":"00000000000000000000000000000000",'
        '"schema":"eegcopilot.command/1","signer":"dr-1","time":"2026-01-31T12:00:00Z",'
        '"topic":"eegcopilot/v1/home/n/cmd/b/ask"}'
    )
