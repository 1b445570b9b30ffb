"""The machine: processor, memory, clock, versions."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from daemon.config import Config
from daemon.doctor.finding import Finding

# What ONNX Runtime's 8-bit kernels use, the better first, by /proc/cpuinfo's words.
_X86 = (("avx512_vnni", "avx_vnni"), ("avx2",))
_ARM = (("i8mm",), ("asimddp",))
MEMORY_MIB = 512
# adjtimex(2)
_STA_UNSYNC, _TIME_ERROR = 0x0040, 5
# A label's time is said with its uncertainty; beyond this it is no use beside other devices. Seconds.
CLOCK_ERROR_S = 1.0


UPGRADE = "make upgrade-service (or apt install --reinstall eeg-copilot)"


def look_at_machine(config: Config | None) -> Iterator[Finding]:
    yield _processor()
    if config is not None:
        cores = len(os.sched_getaffinity(0))
        if config.model.threads > cores:
            detail = f"model.threads is {config.model.threads} and there are {cores} cores"
            yield Finding("cores", "warning", detail, f"set threads = {cores} in [model]")
    yield _memory()
    yield _clock()


def look_at_versions() -> Iterator[Finding]:
    """Python's packages against what this program was tested with, and whether any of them calls home."""
    yield _telemetry(UPGRADE)
    try:
        own = metadata.version("eeg-emotion-copilot")
    except metadata.PackageNotFoundError:
        yield Finding("versions", "unseen", "run from its sources, not installed: `make test` checks those")
        return
    wrong = []
    for text in metadata.requires("eeg-emotion-copilot") or []:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{wanted.name} is missing")
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            wrong.append(f"{wanted.name} is {version}, wanted {wanted.specifier}")
    if wrong:
        yield Finding("versions", "bad", "; ".join(wrong), UPGRADE)
    else:
        where = f"Python {platform.python_version()}, {platform.machine()}"
        yield Finding("versions", "good", f"eeg-copilot {own} on {where}")


def _telemetry(mend: str) -> Finding:
    """ONNX Runtime's wheels send telemetry from 1.29 on, unless told not to."""
    version = metadata.version("onnxruntime")
    if tuple(int(part) for part in version.split(".")[:2]) >= (1, 29):
        return Finding("telemetry", "bad", f"onnxruntime {version} sends telemetry by default", mend)
    if os.environ.get("ORT_DISABLE_TELEMETRY") != "1":
        detail = "ORT_DISABLE_TELEMETRY is set to something else than 1"
        return Finding("telemetry", "bad", detail, "unset ORT_DISABLE_TELEMETRY")
    return Finding("telemetry", "good", f"off: onnxruntime {version} has none, and is told so")


def _processor() -> Finding:
    machine = platform.machine()
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return Finding("processor", "unseen", "/proc/cpuinfo cannot be read: ONNX Runtime guesses too")
    words = set(info.split())
    best, enough = _X86 if machine == "x86_64" else _ARM
    if words & set(best):
        return Finding("processor", "good", f"{machine} with {', '.join(sorted(words & set(best)))}")
    if words & set(enough):
        detail = f"{machine} with {enough[0]}, without {best[0]}: large models are slower"
        return Finding("processor", "good", detail)
    detail = f"{machine} without {enough[0]}: reading will be several times slower"
    return Finding(
        "processor", "warning", detail, "run it on a newer machine, or set a longer hop by another bundle"
    )


def _memory() -> Finding:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        mib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) // 1024
    except (OSError, StopIteration, ValueError):
        return Finding("memory", "unseen", "/proc/meminfo cannot be read")
    if mib < MEMORY_MIB:
        return Finding(
            "memory", "warning", f"{mib} MiB are free, {MEMORY_MIB} wanted", "ps aux --sort -rss | head"
        )
    return Finding("memory", "good", f"{mib} MiB are free")


class _Timex(ctypes.Structure):
    """The start of Linux's struct timex; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_char * 256),
    )


def _clock() -> Finding:
    """Asks the kernel, so that any time daemon will do."""
    state = _Timex()
    answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(state))
    if answer < 0:
        return Finding("clock", "unseen", "the kernel does not say whether its clock is right")
    error_s = state.maxerror / 1e6
    if answer == _TIME_ERROR or state.status & _STA_UNSYNC or error_s > CLOCK_ERROR_S:
        detail = f"not synchronised (up to {error_s:.1f} s wrong): times beside other devices mean nothing"
        return Finding("clock", "warning", detail, "timedatectl set-ntp true")
    return Finding("clock", "good", f"synchronised, at most {error_s * 1e3:.0f} ms wrong")
