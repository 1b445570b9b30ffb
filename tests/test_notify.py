"""What systemd is told, and that nothing depends on whether it listens."""

import socket
from pathlib import Path

import pytest
import structlog

from daemon.notify import notify


def test_systemd_that_has_gone_or_does_not_read_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        notify("READY=1", "STATUS=fine")
        assert systemd.recv(4096) == b"READY=1\nSTATUS=fine"
        with structlog.testing.capture_logs() as logs:
            for _ in range(2000):  # more than any queue of datagrams holds
                notify("WATCHDOG=1")
        assert logs and all(line["event"] == "systemd does not listen" for line in logs)
    with structlog.testing.capture_logs() as logs:
        notify("STATUS=alone")
    assert [line["untold"] for line in logs] == [("STATUS=alone",)]
