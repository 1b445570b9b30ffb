"""The unit files: no complaint from systemd, a score that is asserted, and two that say the same."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SYSTEMD = ROOT / "systemd"
UNITS = (
    "eeg-copilot.service",
    "eeg-copilot@.service",
    "eeg-copilot-monitor.service",
    "eeg-copilot-reader@.service",
)
MOST = 1.5  # of systemd's 10; what is left is a network and serial ports, which are its purpose

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def exposure(unit: Path) -> float:
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", unit], capture_output=True, text=True, timeout=60
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", told.stdout)
    assert found, told
    return float(found[1])


@pytest.mark.parametrize("unit", UNITS)
def test_exposure(unit: str, tmp_path: Path) -> None:
    assert exposure(SYSTEMD / unit) <= MOST
    # A score that could not rise would be no check.
    open_to_all = tmp_path / unit
    open_to_all.write_text("[Service]\nExecStart=/bin/true\n")
    assert exposure(open_to_all) > 9


@pytest.mark.parametrize("drop_in", ["lsl", "bluetooth", "broker"])
def test_exposure_with_drop_ins(drop_in: str, tmp_path: Path) -> None:
    """A drop-in's lines behind the unit's own mean what systemd makes of both."""
    unit = tmp_path / "eeg-copilot.service"
    base, install = (SYSTEMD / "eeg-copilot.service").read_text().split("[Install]")
    unit.write_text(f"{base}\n{(SYSTEMD / 'drop-ins' / f'{drop_in}.conf').read_text()}\n[Install]{install}")
    assert exposure(unit) <= 2.0


def verify(folder: Path, *units: str) -> str:
    """What `systemd-analyze verify` prints, on a file system that has our command and systemd's own units."""
    own = folder / "usr/lib/systemd/system"
    own.parent.mkdir(parents=True)
    shutil.copytree("/usr/lib/systemd/system", own, symlinks=True)
    for file in SYSTEMD.glob("*.service"):
        shutil.copy(file, own)
    command = folder / "usr/bin/eeg-copilot"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    shutil.copy("/bin/sh", folder / "usr/bin/sh")
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={folder}", *units],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return told.stdout + told.stderr


def test_verify_prints_nothing(tmp_path: Path) -> None:
    units = ("eeg-copilot.service", "eeg-copilot@bed-1.service", *UNITS[2:3], "eeg-copilot-reader@1.service")
    assert verify(tmp_path, *units) == ""


def test_verify_would_print(tmp_path: Path) -> None:
    """Its exit code is 0 for an unknown key, so it is the printing that counts."""
    told = verify(tmp_path, "eeg-copilot.service")
    unit = tmp_path / "usr/lib/systemd/system/eeg-copilot.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={tmp_path}", "eeg-copilot.service"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "WatchdogSecs" in told.stderr


def test_template_differs_in_names_alone() -> None:
    """All that is in one unit and not in the other is a name with %i in it."""
    one, each = (
        [line for line in (SYSTEMD / unit).read_text().splitlines() if line and not line.startswith("#")]
        for unit in UNITS[:2]
    )
    assert len(one) == len(each)
    for single, instance in zip(one, each, strict=True):
        if single != instance:
            assert "%i" in instance
            plain = instance.replace("eeg-copilot/%i.toml", "eeg-copilot/eeg-copilot.toml")
            assert plain.replace("-%i", "").replace(", %i", "") == single


@pytest.mark.parametrize("script", sorted(SYSTEMD.glob("**/*.sh")) + sorted((SYSTEMD / "debian").glob("p*")))
def test_scripts_parse(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True, capture_output=True)
