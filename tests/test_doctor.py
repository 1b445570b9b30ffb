"""`eeg-copilot doctor` finds faults that are really there, each with a command that mends it."""

import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from broker import Mosquitto
from node import configuration, stream

from daemon.doctor.broker import look_at_broker, mosquitto_settings
from daemon.outbox import Outbox
from pipeline.bundle import shipped_bundle

ROOT = Path(__file__).parents[1]
SIMULATOR = stream("bed", 'kind = "simulator"')
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="planting this fault needs root")


def doctor(file: Path, *before: str, **environment: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Exit code, and findings by what was looked at."""
    result = subprocess.run(
        [*before, sys.executable, "-m", "daemon", "doctor", str(file), "--json"],
        capture_output=True,
        text=True,
        timeout=90,
        cwd=ROOT,
        env=os.environ | environment,
    )
    assert result.stdout, result.stderr
    told = json.loads(result.stdout)
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in told["findings"]:
        assert "\n" not in finding["detail"]
        if finding["verdict"] in ("bad", "warning"):
            assert finding["mend"], finding
        found.setdefault(finding["check"], []).append(finding)
    assert told["bad"] == sum(f["verdict"] == "bad" for fs in found.values() for f in fs)
    assert (result.returncode == 1) == (told["bad"] > 0)
    return result.returncode, found


def only(found: dict[str, list[dict[str, Any]]], check: str, verdict: str, *parts: str) -> None:
    """Exactly this was found of `check`."""
    assert [f["verdict"] for f in found.get(check, [])] == [verdict], found
    for text in parts:
        assert text in found[check][0]["detail"] + found[check][0]["mend"]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Any]:
    """`broker("allow_anonymous false")`: a running one with these settings."""
    running: list[Mosquitto] = []

    def start(settings: str) -> Mosquitto:
        folder = tmp_path / f"broker{len(running)}"
        folder.mkdir()
        running.append(Mosquitto(folder, settings=settings))
        return running[-1].start()

    yield start
    for one in running:
        one.stop()


def test_a_sound_machine_has_nothing_bad(mosquitto: Mosquitto, tmp_path: Path) -> None:
    code, found = doctor(configuration(tmp_path, mosquitto.port, SIMULATOR))
    assert code == 0
    for check in ("telemetry", "configuration", "bundle", "disk", "broker", "broker-access"):
        only(found, check, "good")
    # What the kernel says of the clock is what is told, whatever it is here.
    assert found["clock"][0]["verdict"] in ("good", "warning")


def test_configuration_and_telemetry(tmp_path: Path) -> None:
    code, found = doctor(
        configuration(tmp_path, 1883, SIMULATOR + "[mqt]\n"), ORT_DISABLE_TELEMETRY="0", OMP_NUM_THREADS="1"
    )
    assert code == 1
    only(found, "configuration", "bad", "mqt: unknown key", "check-config")
    only(found, "telemetry", "bad", "ORT_DISABLE_TELEMETRY")
    assert "broker" not in found  # which one, nobody knows


def test_broker_away(free_mosquitto: Mosquitto, tmp_path: Path) -> None:
    _, found = doctor(configuration(tmp_path, free_mosquitto.port, SIMULATOR))
    only(found, "broker", "bad", "not to be reached", "systemctl enable --now mosquitto")


def test_broker_refuses_the_login(broker: Any, tmp_path: Path) -> None:
    one = broker("allow_anonymous false")
    _, found = doctor(configuration(tmp_path, one.port, SIMULATOR))
    only(found, "broker", "bad", "refuses the login", "mosquitto_passwd")


def test_broker_denies_topics(broker: Any, tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic read $SYS/#\n")
    one = broker(f"allow_anonymous true\nacl_file {rules}")
    _, found = doctor(configuration(tmp_path, one.port, SIMULATOR))
    only(found, "broker", "good")
    only(found, "broker-access", "bad", "denied", "acl_file")


def test_broker_that_keeps_and_takes_too_little(broker: Any, tmp_path: Path) -> None:
    one = broker("allow_anonymous true\nretain_available false\nmax_packet_size 20000")
    _, found = doctor(configuration(tmp_path, one.port, SIMULATOR))
    only(found, "broker-retain", "bad", "retained")
    only(found, "broker-size", "bad", "20000 bytes")


def test_local_mosquitto_without_persistence(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's layout: a file that includes a folder, whose last word counts."""
    from daemon.mqtt_settings import Mqtt

    conf = tmp_path / "mosquitto.conf"
    (tmp_path / "conf.d").mkdir()
    conf.write_text(f"# persistence false\npersistence true\ninclude_dir {tmp_path}/conf.d\n")
    monkeypatch.setattr("daemon.doctor.broker.MOSQUITTO", conf)
    settings = Mqtt(port=mosquitto.port)

    def found() -> dict[str, str]:
        return {f.check: f.verdict for f in look_at_broker(settings)}

    assert found()["broker-durable"] == "warning" and found()["broker-queue"] == "warning"
    more = tmp_path / "conf.d" / "copilot.conf"
    more.write_text("autosave_interval 30\nmax_queued_messages 100000\n")
    assert found()["broker-durable"] == found()["broker-queue"] == "good"
    more.write_text("persistence false\n")
    assert mosquitto_settings(conf)["persistence"] == "false"
    assert found()["broker-durable"] == "bad"


def test_certificate_that_ends_soon(broker: Any, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    request = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "5",
        "-subj",
        "/CN=localhost",
    ]
    name = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*request, *name, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    one = broker(f"allow_anonymous true\ncertfile {certificate}\nkeyfile {key}\ncafile {certificate}")
    file = configuration(tmp_path, one.port, SIMULATOR)
    file.write_text(file.read_text().replace("[mqtt]\n", f'[mqtt]\nca_file = "{certificate}"\n'))
    _, found = doctor(file)
    only(found, "broker-certificate", "warning", "days", "openssl")


def test_bundle_with_a_wrong_bit(mosquitto: Mosquitto, tmp_path: Path) -> None:
    shutil.copytree(shipped_bundle(), tmp_path / "flipped")
    model = tmp_path / "flipped" / "model.onnx"
    data = bytearray(model.read_bytes())
    data[100] ^= 1
    model.write_bytes(data)
    file = configuration(tmp_path, mosquitto.port, f'[model]\nbundle = "flipped"\nthreads = 64\n{SIMULATOR}')
    _, found = doctor(file)
    only(found, "bundle", "bad", "model.onnx")
    if len(os.sched_getaffinity(0)) < 64:
        only(found, "cores", "warning", "64")


def test_outbox_damaged(mosquitto: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "outbox.sqlite").write_bytes(b"not a database" * 100)
    _, found = doctor(configuration(tmp_path, mosquitto.port, SIMULATOR))
    only(found, "outbox", "bad", "outbox.sqlite", "systemctl stop")


def test_outbox_with_a_backlog_and_refusals(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with Outbox(tmp_path / "state") as outbox:
        for number in range(3):
            outbox.put("eegcopilot/v1/lab/n1/bed/episode", f"{number}".encode())
        outbox.settle(1, 135)
    with sqlite3.connect(tmp_path / "state" / "outbox.sqlite") as db:
        db.execute("update message set created=?", (time.time() - 7200,))
    db.close()
    _, found = doctor(configuration(tmp_path, mosquitto.port, SIMULATOR))
    only(found, "outbox", "warning", "2 messages wait", "2.0 h")
    only(found, "outbox-refused", "warning", "refused 1 messages")


@as_root
def test_disk_full(mosquitto: Mosquitto, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", state], check=True)
    try:
        _, found = doctor(configuration(tmp_path, mosquitto.port, SIMULATOR))
    finally:
        subprocess.run(["umount", state], check=True)
    only(found, "disk", "bad", "MiB are free")


def test_serial_ports(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A real terminal device with the rights of a port that udev has not touched."""
    master, slave = pty.openpty()
    port = os.ttyname(slave)
    Path(port).chmod(0o600)
    bed = 'kind = "brainflow", board = "cyton", serial_port = "{}"'
    streams = stream("a", bed.format(port)) + stream("b", bed.format("/dev/ttyUSB77"))
    try:
        _, found = doctor(configuration(tmp_path, mosquitto.port, streams))
    finally:
        os.close(master)
        os.close(slave)
    assert [f["verdict"] for f in found["device"]] == ["bad", "bad"]
    assert "0600" in found["device"][0]["detail"] and "chgrp dialout" in found["device"][0]["mend"]
    assert "not plugged in" in found["device"][1]["detail"]


def test_recording_that_is_not_there(mosquitto: Mosquitto, tmp_path: Path) -> None:
    _, found = doctor(
        configuration(tmp_path, mosquitto.port, stream("a", 'kind = "recording", files = ["gone.edf"]'))
    )
    only(found, "device", "bad", "gone.edf")


def test_secret_that_others_can_read(mosquitto: Mosquitto, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hush\n")
    secret.chmod(0o644)
    file = configuration(tmp_path, mosquitto.port, SIMULATOR)
    login = f'[mqtt]\nusername = "eeg"\npassword_file = "{secret}"\n'
    file.write_text(file.read_text().replace("[mqtt]\n", login))
    _, found = doctor(file)
    only(found, "configuration", "bad", "chmod 600")


@as_root
def test_no_multicast(tmp_path: Path) -> None:
    """In a network of its own whose only interface is down."""
    file = configuration(tmp_path, 1883, stream("bed", 'kind = "lsl", name = "ward"'))
    _, found = doctor(file, "unshare", "--net")
    only(found, "lsl", "bad", "multicast does not work", "ip route")
    only(found, "broker", "bad")
