"""Runs as root beside the service, and tells on its terminal what it found."""

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, "/root")
from inside import connected

UNIT = "eeg-copilot.service"


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=900).stdout.strip()


def show(key: str) -> str:
    return run("systemctl", "show", "-p", key, "--value", UNIT)


def serial_port() -> None:
    """A node of a driver that is not loaded, with the rights that udev would give it."""
    run("mknod", "/dev/ttyUSB0", "c", "188", "0")
    run("chgrp", "dialout", "/dev/ttyUSB0")
    run("chmod", "660", "/dev/ttyUSB0")
    # So that it is the control group that says no, and not these nodes' own rights.
    run("chmod", "666", "/dev/ttyS0", "/dev/vda")


def main() -> None:
    serial_port()
    began = time.monotonic()
    run("systemctl", "restart", UNIT)
    found: dict[str, object] = {"ready": show("ActiveState") == "active"}
    ready_s = time.monotonic() - began
    topic = "eegcopilot/v1/lab/pc/bed-1/emotion"
    told = run("mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-R", "-t", topic, "-C", "1", "-W", "300")
    found["label"] = '"eegcopilot.emotion/1"' in told
    found |= json.loads(Path("/var/lib/private/eeg-copilot/inside.json").read_text())
    found["network, outside the unit"] = connected("10.0.2.2")
    found["reboot"] = run("systemctl", "is-enabled", UNIT)
    peak = Path(f"/sys/fs/cgroup/system.slice/{UNIT}/memory.peak").read_text()
    found["figures"] = {
        "from_start_to_ready_s": round(ready_s, 1),
        "memory_peak_mib": int(peak) >> 20,
        "total_ms": json.loads(told)["latency_ms"]["total"] if told else None,
    }
    # Less than it needs: the kernel has to end it, and systemd to say why.
    run("systemctl", "set-property", "--runtime", UNIT, "MemoryHigh=infinity", "MemoryMax=60M")
    run("systemctl", "restart", UNIT)
    entries = run("journalctl", "-u", UNIT, "--no-pager", "-o", "cat")
    found["memory"] = "oom-kill" if "oom-kill" in entries else show("Result")
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    try:
        main()
    except Exception as why:
        print(json.dumps({"failed": repr(why)}), flush=True)
        raise
