"""Boots the package on an emulated PC with a kernel of its own: `make test-boot`.

A container shares its host's kernel and may not enforce what the unit asks of one: memory limits, the list
of devices, the list of addresses. Here they are tried from inside the service's own control group. Without
KVM, so that it runs anywhere; some minutes. Prints one JSON object; exit code 1 where anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "parts"))

from trees import make_deb, make_tree  # noqa: E402

CONFIGURATION = """
[mqtt]
site = "lab"
node = "pc"
[[stream]]
name = "bed-1"
calibration_s = 6
source = {kind = "simulator"}
"""
# An emulated processor is some thirty times slower: patience, and nothing else, is changed.
PATIENCE = "[Service]\nTimeoutStartSec=900\nWatchdogSec=300\n"
INSIDE = "[Service]\nExecStartPost=/usr/bin/python3.11 /root/inside.py %S/eeg-copilot/inside.json\n"
OUTSIDE = """
[Unit]
Description=what the test wants to know
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/bin/python3.11 /root/outside.py
StandardOutput=tty
TTYPath=/dev/ttyS1
ExecStopPost=/usr/bin/systemctl poweroff --force
[Install]
WantedBy=graphical.target
"""
NETWORK = "[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n"
EXPECTED = {
    "ready": True,
    "label": True,
    "serial port, major 188": "ENXIO",  # let through, and nothing is plugged in
    "serial port, major 4": "EPERM",
    "disk": "EPERM",
    "null": "open",
    "loopback": "ECONNREFUSED",
    "network": "TimeoutError",  # dropped on its way out; what follows shows that somebody is there
    "network, outside the unit": "ECONNREFUSED",
    "memory": "oom-kill",
    "reboot": "enabled",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pc", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=25.0, help="after which it is given up")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pc-") as folder:
        disk = _disk(Path(folder))
        made = time.monotonic()
        told = _boot(Path(folder), disk, options.minutes)
    found = {key: told.get(key) for key in EXPECTED}
    figures = told.get("figures", {}) | {
        "disk_s": round(made - began),
        "boot_and_test_s": round(time.monotonic() - made),
    }
    wrong = [key for key in EXPECTED if found[key] != EXPECTED[key]]
    print(json.dumps({"found": found, "figures": figures, "wrong": wrong}, indent=1))
    return 1 if wrong else 0


def _disk(folder: Path) -> Path:
    """An ext4 image of Debian with the package installed, the service enabled and the probes in place."""
    root = folder / "root"
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", ROOT / "build/boot/disk.tar"], check=True)
    package = make_deb(make_tree(folder / "tree"), root / "root/eeg-copilot.deb")
    subprocess.run(
        ["chroot", root, "dpkg", "-i", "/root/eeg-copilot.deb"], check=True, stdout=subprocess.DEVNULL
    )
    package.unlink()
    drop_ins = root / "etc/systemd/system/eeg-copilot.service.d"
    drop_ins.mkdir()
    (drop_ins / "patience.conf").write_text(PATIENCE)
    (drop_ins / "inside.conf").write_text(INSIDE)
    (root / "etc/eeg-copilot/eeg-copilot.toml").write_text(CONFIGURATION)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (root / "etc/systemd/network/lan.network").write_text(NETWORK)
    (root / "etc/systemd/system/outside.service").write_text(OUTSIDE)
    for name in ("inside.py", "outside.py"):
        (root / "root" / name).write_text((Path(__file__).parent / name).read_text())
    # The service's own user reads it there; /root is hidden from the service.
    (root / "usr/local/lib/inside.py").write_text((Path(__file__).parent / "inside.py").read_text())
    (drop_ins / "inside.conf").write_text(INSIDE.replace("/root/", "/usr/local/lib/"))
    units = ["eeg-copilot", "outside", "mosquitto", "systemd-networkd"]
    subprocess.run(["chroot", root, "systemctl", "--quiet", "enable", *units], check=True)
    kernel, initrd = next(root.glob("boot/vmlinuz-*")), next(root.glob("boot/initrd.img-*"))
    kernel.rename(folder / "kernel")
    initrd.rename(folder / "initrd")
    disk = folder / "disk.img"
    with disk.open("wb") as image:
        image.truncate(3 << 30)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, disk], check=True)
    return disk


def _boot(folder: Path, disk: Path, minutes: float) -> dict[str, object]:
    """What the machine said on its second serial port before it switched itself off."""
    said = folder / "said.log"
    # no_timer_check: on a busy host an emulated timer comes too late for the kernel's own test of it.
    kernel = (
        "root=/dev/vda rw console=ttyS0 quiet no_timer_check panic=1 systemd.mask=serial-getty@ttyS0.service"
    )
    machine = ["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "2048", "-smp", "2"]
    subprocess.run(
        [
            *("qemu-system-x86_64", *machine, "-display", "none", "-monitor", "none", "-no-reboot"),
            *("-nic", "user,model=virtio-net-pci"),
            *("-kernel", folder / "kernel", "-initrd", folder / "initrd", "-append", kernel),
            *("-drive", f"file={disk},format=raw,if=virtio"),
            *("-serial", f"file:{folder / 'console.log'}", "-serial", f"file:{said}"),
        ],
        stdin=subprocess.DEVNULL,
        timeout=minutes * 60,
        check=True,
    )
    for line in said.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            told = json.loads(line)
            assert isinstance(told, dict)
            return told
    print((folder / "console.log").read_text(errors="replace")[-3000:], file=sys.stderr)
    return {}


if __name__ == "__main__":
    raise SystemExit(main())
