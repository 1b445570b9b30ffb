"""`python -m daemon run` as its own process, seen READY the way systemd sees it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.parts.machine import ROOT, ChildError, environment

_READY_S = 60.0


class DaemonProcess:
    """One life of the daemon on a configuration; its log is appended to `daemon.log` beside it.

    ready_s: from the process's start to its READY.
    """

    def __init__(self, config: Path, **more: str) -> None:
        """more: environment variables. Raises ChildError where it does not get ready."""
        notify = config.with_suffix(".notify")
        notify.unlink(missing_ok=True)
        self.log = config.with_name("daemon.log")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waiting:
            waiting.bind(str(notify))
            began = time.perf_counter()
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "daemon", "run", str(config)],
                    stdout=log,
                    stderr=log,
                    cwd=ROOT,
                    env=environment(NOTIFY_SOCKET=str(notify), **more),
                )
            try:
                self._await_ready(waiting)
            except BaseException:
                self.end()
                raise
            self.ready_s = time.perf_counter() - began

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, within_s: float = 30.0) -> int:
        """As systemd would; the daemon tells its last health before it goes. Returns its exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def end(self) -> None:
        """Gone, whatever it was doing."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _await_ready(self, waiting: socket.socket) -> None:
        end = time.monotonic() + _READY_S
        waiting.settimeout(0.2)
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in waiting.recv(4096).split(b"\n"):
                    return
        last = self.log.read_text().strip().splitlines() or ["nothing"]
        code = self.process.poll()
        raise ChildError(f"the daemon did not get ready; it said: {last[-1]}", 1 if code is None else code)
