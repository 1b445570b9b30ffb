"""The machine, and what a process of it used, read from /proc."""

from __future__ import annotations

import os
import platform
import uuid
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TICK = os.sysconf("SC_CLK_TCK")

# On the loopback alone and in a session of its own. Every outlet takes two ports, and one that finds none
# in the range would not be found itself.
_LSL = """\
[ports]
BasePort = 17500
PortRange = 300
IPv6 = disable
ListenAddress = 127.0.0.1
[multicast]
ResolveScope = machine
AddressesOverride = {{127.0.0.1}}
[lab]
KnownPeers = {{127.0.0.1}}
SessionID = run-{session}
[log]
level = -3
"""


class ChildError(RuntimeError):
    """A program that failed: its last words. code: its exit code, where it has ended."""

    def __init__(self, words: str, code: int = 1) -> None:
        super().__init__(words)
        self.code = code


def lsl_settings(folder: Path) -> Path:
    """A file for LSLAPICFG."""
    file = folder / "lsl_api.cfg"
    file.write_text(_LSL.format(session=uuid.uuid4().hex[:12]))
    return file


def environment(**more: str) -> dict[str, str]:
    """For programs of this repository: the daemon's own settings of the numeric libraries, for all alike."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OPENBLAS_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        **more,
    }


def describe() -> dict[str, str | int | float]:
    """load: tasks that wanted a core in the last minute, before it began: should be near 0."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def cpu_s(pid: int) -> float:
    """Processor seconds that a process has used, all threads."""
    # The name in parentheses may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory_mb(pid: int, key: str = "VmRSS") -> float:
    """Resident memory, MB of 10^6 bytes. key: VmHWM for the peak."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
