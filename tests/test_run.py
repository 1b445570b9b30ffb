"""`eeg-copilot run` and its kin as processes: exit codes, one-line refusals, what systemd hears."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from broker import Mosquitto, listening
from node import configuration, stream

from pipeline.bundle import shipped_bundle

ROOT = Path(__file__).parents[1]


def copilot(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    command_line = [sys.executable, "-m", "daemon", *map(str, arguments)]
    return subprocess.run(command_line, capture_output=True, text=True, timeout=60, cwd=ROOT, **more)


def refused(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode == 78, result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for text in parts:
        assert text in result.stderr


def test_refusals_exit_with_78(tmp_path: Path) -> None:
    simulator = stream("bed", 'kind = "simulator"')
    refused(
        copilot("run", configuration(tmp_path, 1883, simulator + "[mqt]\n")), "mqt: unknown key", "'mqtt'"
    )
    missing = '[model]\nbundle = "nowhere"\n' + simulator
    refused(copilot("run", configuration(tmp_path, 1883, missing)), "nowhere", "bundle.toml")
    shutil.copytree(shipped_bundle(), tmp_path / "flipped")
    model = tmp_path / "flipped" / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    flipped = '[model]\nbundle = "flipped"\n' + simulator
    file = configuration(tmp_path, 1883, flipped)
    refused(copilot("run", file), "model.onnx", "sha256", "restore the bundle")
    refused(copilot("check-config", file), "model.onnx")
    refused(copilot("bundle", "verify", tmp_path / "flipped"), "model.onnx")
    assert copilot("bundle", "verify").returncode == 0


def test_refused_login_exits_with_78(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, settings="allow_anonymous false").start()
    try:
        result = copilot("run", configuration(tmp_path, broker.port, stream("bed", 'kind = "simulator"')))
    finally:
        broker.stop()
    assert result.returncode == 78, result.stderr
    assert "refuses the login" in result.stderr.splitlines()[-1]


def test_usage_exits_with_2() -> None:
    assert copilot("run").returncode == 2
    assert copilot("dance").returncode == 2


def test_service_under_systemd(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Tells systemd what it does, logs JSON, and says goodbye on SIGTERM."""
    address = str(tmp_path / "notify")
    file = configuration(tmp_path, mosquitto.port, stream("bed", 'kind = "simulator"'))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(30)
        environment = os.environ | {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "900000"}
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon", "run", str(file)],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        try:
            told: list[str] = []
            while not ({"READY=1", "STATUS=bed calibrating"} <= {*told} and told.count("WATCHDOG=1") >= 2):
                told.append(systemd.recv(4096).decode())
            # The headset is heard of before systemd is told that all is ready.
            assert told[0] == "STATUS=starting: loading the model"
            before = told[: told.index("READY=1")]
            assert any(line.startswith("STATUS=bed calibrating") for line in before), told
            process.send_signal(signal.SIGTERM)
            while not systemd.recv(4096).startswith(b"STOPPING=1"):
                pass
            _, log = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 0
    assert all(line.startswith("{") for line in log.splitlines()), log

    async def retained() -> None:
        async with listening(mosquitto.port) as ear:
            await ear.until(lambda: ear.under("n1/status"))
            assert ear.under("n1/status")[0]["state"] == "stopped"

    asyncio.run(retained())
