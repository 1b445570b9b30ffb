"""A Debian that really boots: systemd as PID 1 in a container of systemd-nspawn, without a network."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BOOT_S = 60.0


class Machine:
    """root: its file system. Commands run inside, as root; what they print comes back."""

    def __init__(self, root: Path, archive: Path) -> None:
        """archive: made by `make build/boot/root.tar`."""
        self.root = root
        root.mkdir(parents=True)
        subprocess.run(["tar", "-C", root, "-xf", archive], check=True)
        # What a Debian installer writes and a bare file system lacks.
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        (root / "etc/hostname").write_text("bedside\n")
        (root / "etc/machine-id").write_text("")
        self._nspawn: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        environment = os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        name = f"copilot{os.getpid()}"
        options = ["--register=no", "--keep-unit", "--settings=no", "--private-network", "--boot"]
        with (self.root.parent / "console.log").open("ab") as console:
            self._nspawn = subprocess.Popen(
                ["systemd-nspawn", "--quiet", *options, "--console=pipe", "-M", name, "-D", str(self.root)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self.until_up()

    def until_up(self) -> None:
        """Returns when all that is started at boot has been."""
        self.until(
            lambda: self.run("systemctl", "is-system-running", check=False) in ("running", "degraded"), BOOT_S
        )

    def reboot(self) -> None:
        """As asked for from inside: nspawn then ends with 133, for whoever started it to start it again."""
        assert self._nspawn is not None
        self.run("systemctl", "reboot", check=False)
        assert self._nspawn.wait(BOOT_S) == 133
        self.boot()

    def run(self, *command: str, check: bool = True, text: str | None = None) -> str:
        """Standard output, and standard error behind it, without the last line break."""
        result = self.result(*command, text=text)
        if check and result.returncode:
            log = self.result("journalctl", "--no-pager", "-n", "40").stdout
            raise AssertionError(f"{command} gave {result.returncode}: {result.stdout}{result.stderr}\n{log}")
        return (result.stdout + result.stderr).strip()

    def result(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        leader = self._leader()
        if leader is None:
            return subprocess.CompletedProcess(command, 1, "", "not booted")
        inside = ["nsenter", "-t", str(leader), "-m", "-u", "-i", "-n", "-p", "-C", "--", *command]
        clean = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        return subprocess.run(inside, capture_output=True, text=True, input=text, env=clean, timeout=170)

    def write(self, path: str, text: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def show(self, unit: str, key: str) -> str:
        """One property of a unit, as systemd knows it."""
        return self.run("systemctl", "show", "-p", key, "--value", unit)

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """Entries with all their fields."""
        lines = self.run("journalctl", "-o", "json", "--no-pager", *matches, check=False).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def until(self, true: Callable[[], object], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                log = self.run("journalctl", "--no-pager", "-n", "40", check=False)
                raise AssertionError(f"not within {seconds:g} s; the journal ends so:\n{log}")
            time.sleep(0.3)

    def off(self) -> None:
        if self._nspawn is None:
            return
        leader = self._leader()
        if leader is not None:
            # As pulling the plug: the container's init takes everything with it.
            os.kill(leader, signal.SIGKILL)
        try:
            self._nspawn.wait(3)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait(10)
        self._nspawn = None

    def remove(self) -> None:
        self.off()
        shutil.rmtree(self.root, ignore_errors=True)

    def _leader(self) -> int | None:
        """The container's PID 1, as seen from outside; another one after a reboot."""
        if self._nspawn is None or self._nspawn.poll() is not None:
            return None
        pid = self._nspawn.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None
