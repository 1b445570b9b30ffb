"""The daemon, kept as systemd would: begun again when it ends, unless it says that it must not be."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.parts.daemon_process import DaemonProcess
from tests.parts.machine import ChildError, memory_mb

CONFIGURATION = 78  # exit code after which systemd does not begin it again
_RESTART_S = 1.0
_SAMPLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Vital:
    """at: UTC seconds. life: which of the daemon's. files: open descriptors.

    rss_mb: resident memory, MB of 10^6 bytes; anon_mb: what of it is not backed by a file.
    """

    at: float
    life: int
    rss_mb: float
    anon_mb: float
    files: int
    threads: int


class Node:
    """vitals: of all lives. ends: exit code of each life that is over; 78 ends the series."""

    def __init__(self, config: Path, **more: str) -> None:
        self.vitals: list[Vital] = []
        self.ends: list[int] = []
        self._config, self._more = config, more
        self._daemon: DaemonProcess | None = None
        self._wanted = False
        self._closed = threading.Event()
        self._lock = threading.RLock()
        self._threads = [threading.Thread(target=self._keep), threading.Thread(target=self._look)]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int | None:
        daemon = self._daemon
        return None if daemon is None else daemon.pid

    @property
    def refused(self) -> bool:
        """Whether it has said that its configuration is wrong."""
        return self._daemon is None and bool(self.ends) and self.ends[-1] == CONFIGURATION

    def start(self) -> None:
        """Returns at once; `up` tells when it is there."""
        self._wanted = True

    def up(self, within_s: float) -> bool:
        end = time.monotonic() + within_s
        while time.monotonic() < end and not self._closed.wait(0.05):
            if self._daemon is not None:
                return True
            if self.refused and not self._wanted:
                return False
        return False

    def signal(self, number: int) -> None:
        with self._lock:
            if self._daemon is not None and self._daemon.process.poll() is None:
                self._daemon.signal(number)

    def stop(self) -> int | None:
        """As systemd would; it is not begun again. Returns the exit code, None where nothing ran."""
        with self._lock:
            self._wanted = False
            if self._daemon is None:
                return None
            code = self._daemon.stop(60.0)
            self._ended(code)
            return code

    def close(self) -> None:
        self._wanted = False
        self._closed.set()
        for thread in self._threads:
            thread.join()
        if self._daemon is not None:
            self._daemon.end()

    def _keep(self) -> None:
        while not self._closed.wait(0.1):
            with self._lock:
                daemon = self._daemon
                code = None if daemon is None else daemon.process.poll()
                if code is not None:
                    self._ended(code)
            if daemon is None and self._wanted:
                self._begin()
            elif code is not None and self._wanted:
                self._closed.wait(_RESTART_S)

    def _begin(self) -> None:
        try:
            daemon = DaemonProcess(self._config, **self._more)
        except ChildError as why:
            self._ended(why.code)
            self._closed.wait(_RESTART_S)
            return
        with self._lock:
            self._daemon = daemon

    def _ended(self, code: int) -> None:
        self._daemon = None
        self.ends.append(code)
        if code == CONFIGURATION:
            self._wanted = False

    def _look(self) -> None:
        while not self._closed.wait(_SAMPLE_S):
            pid, life = self.pid, len(self.ends)
            if pid is None:
                continue
            try:
                files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                rss, anon = memory_mb(pid), memory_mb(pid, "RssAnon")
                threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
            except OSError:  # it has just ended
                continue
            if rss == rss and life == len(self.ends):
                self.vitals.append(Vital(time.time(), life, rss, anon, files, threads))
