"""The service on a Debian that really boots: installed, killed, frozen, misconfigured, upgraded, rebooted.

One machine for all tests here, in order, as an administrator would meet these things one after the other.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from container import Machine
from trees import flipped_bundle, garbage_bundle, make_deb, make_tree

ROOT = Path(__file__).parents[1]
ARCHIVE = ROOT / "build" / "boot" / "root.tar"
UNIT = "eeg-copilot.service"
TOPICS = "eegcopilot/v1/lab/n1"

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a boot needs root"),
    pytest.mark.skipif(shutil.which("systemd-nspawn") is None, reason="systemd-container is not installed"),
    pytest.mark.skipif(not ARCHIVE.exists(), reason="no root file system: make build/boot/root.tar"),
]

# One bed over LSL from another process, one through BrainFlow's own libraries, both as hardened as any.
CONFIGURATION = """
[mqtt]
host = "127.0.0.1"
username = "eeg"
site = "lab"
node = "n1"
[metrics]
enabled = true
[[stream]]
name = "bed-1"
calibration_s = 6
source = {kind = "lsl", name = "ward"}
[[stream]]
name = "bed-2"
calibration_s = 6
source = {kind = "brainflow", board = "synthetic"}
"""
BROKER = "listener 1883 127.0.0.1\nallow_anonymous false\npassword_file /etc/mosquitto/passwd\n"
HEADSET = """
[Service]
ExecStart=/usr/lib/eeg-copilot/current/bin/python3 -I -m daemon.headset --name ward
Restart=always
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("tree") / "tree")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    one = Machine(folder / "root", ARCHIVE)
    make_deb(tree, one.root / "root/eeg-copilot.deb")
    # On this machine LSL has the loopback alone; the file is where liblsl looks for it.
    one.write(
        "/etc/lsl_api/lsl_api.cfg", (ROOT / "tests/parts/lsl_api.cfg").read_text().replace("SESSION", "boot")
    )
    one.boot()
    yield one
    one.remove()


def labels(machine: Machine, stream: str = "bed-1", seconds: int = 60) -> int:
    """Waits for a reading that is made from now on; its number."""
    topic = f"{TOPICS}/{stream}/emotion"
    text = machine.run(
        *("mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-u", "eeg", "-P", "hush"),
        *("-R", "-t", topic, "-C", "1", "-W", str(seconds)),
    )
    assert '"research_use_only":true' in text
    return int(text.split('"seq":')[1].split(",")[0])


def pid(machine: Machine) -> str:
    return machine.show(UNIT, "MainPID")


def runs_anew(machine: Machine, before: str) -> bool:
    return machine.show(UNIT, "ActiveState") == "active" and pid(machine) not in ("0", before)


def test_package_brings_labels_onto_mqtt(machine: Machine) -> None:
    told = machine.run("dpkg", "-i", "/root/eeg-copilot.deb")
    assert "systemctl enable --now eeg-copilot" in told
    # A sample configuration is not somebody's bed: nothing is started unasked.
    assert machine.show(UNIT, "ActiveState") == "inactive"
    machine.write("/etc/eeg-copilot/eeg-copilot.toml", CONFIGURATION)
    machine.write("/etc/systemd/system/headset.service", HEADSET)
    machine.write("/etc/mosquitto/conf.d/login.conf", BROKER)
    machine.run("mosquitto_passwd", "-c", "-b", "/etc/mosquitto/passwd", "eeg", "hush")
    machine.run("chown", "mosquitto", "/etc/mosquitto/passwd")
    # The password is root's alone; systemd hands it over.
    machine.write("/etc/credstore/eeg-copilot.mqtt-password", "hush\n")
    machine.run("chmod", "600", "/etc/credstore/eeg-copilot.mqtt-password")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "mosquitto", "headset")
    machine.run("systemctl", "enable", "--now", UNIT)  # returns when READY was told
    assert machine.show(UNIT, "StatusText").startswith("bed-1 ")
    assert labels(machine) > 0
    assert labels(machine, "bed-2", 90) > 0
    machine.until(lambda: machine.show(UNIT, "StatusText") == "bed-1 online, bed-2 online")


def test_journal_has_fields(machine: Machine) -> None:
    entries = machine.journal("-u", UNIT, "EEG_STREAM=bed-1")
    assert entries and all(entry["SYSLOG_IDENTIFIER"] == "eeg-copilot" for entry in entries)
    assert any(entry["MESSAGE"].startswith("stream is calibrating") for entry in entries)
    assert {entry["PRIORITY"] for entry in entries} <= {"4", "6"}
    ready = machine.journal("-u", UNIT, "EEG_BUNDLE=calm-stress-1")
    assert ready and ready[0]["EEG_SESSION"] == "1"


def test_what_it_may_do(machine: Machine) -> None:
    state = machine.run("cat", f"/proc/{pid(machine)}/status")
    assert "NoNewPrivs:\t1" in state and "Seccomp:\t2" in state and "CapEff:\t0000000000000000" in state
    assert "Uid:\t0\t" not in state
    assert machine.run("stat", "-c", "%a", "/var/lib/private/eeg-copilot") == "700"
    assert machine.run("ls", "/var/lib/private/eeg-copilot").split() >= ["outbox.lock", "outbox.sqlite"]
    assert (
        machine.run(
            "systemd-analyze", "verify", UNIT, "eeg-copilot@bed.service", "eeg-copilot-monitor.service"
        )
        == ""
    )
    rules = machine.run("udevadm", "test", "/sys/class/net/lo")
    assert (
        "70-eeg-copilot.rules" in rules and "70-eeg-copilot.rules:" not in rules
    )  # a line number is a complaint
    metrics = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9477/metrics').read().decode())"
    assert 'eegcopilot_stream_state{state="online",stream="bed-1"} 1.0' in machine.run(
        "python3", "-c", metrics
    )


def test_doctor_sees_the_running_service(machine: Machine) -> None:
    found = machine.run("eeg-copilot", "doctor", check=False)
    good = {line.split()[1] for line in found.splitlines() if line.startswith("ok ")}
    assert {"versions", "bundle", "broker", "broker-access", "outbox", "service"} <= good, found
    # Debian's own mosquitto.conf: written every half hour, 1,000 messages for whoever is away.
    assert "autosave_interval 60" in found and "max_queued_messages" in found
    # LSL reaches this machine alone; for a ward the unit has to allow more, by the drop-in that is named.
    command = next(line.split("→ ")[1] for line in found.splitlines() if "drop-ins/lsl.conf" in line)
    machine.run("sh", "-c", command)
    assert "lsl-allowed" not in machine.run("eeg-copilot", "doctor", check=False)
    assert labels(machine) > 0


def test_killed_comes_back(machine: Machine) -> None:
    before = pid(machine)
    machine.run("sh", "-c", f"kill -KILL {before}")
    machine.until(lambda: runs_anew(machine, before))
    assert machine.show(UNIT, "NRestarts") == "1"
    assert labels(machine) > 0


def test_frozen_is_killed_by_the_watchdog(machine: Machine) -> None:
    before = pid(machine)
    machine.run("sh", "-c", f"kill -STOP {before}")
    machine.until(lambda: runs_anew(machine, before), 120)
    assert any("Watchdog timeout" in entry["MESSAGE"] for entry in machine.journal("-u", UNIT))
    assert labels(machine) > 0


def test_reload_takes_what_it_can(machine: Machine) -> None:
    before = pid(machine)
    changed = CONFIGURATION.replace("calibration_s = 6", "calibration_s = 6\nage = 61\nmin_quality = 0.7", 1)
    machine.write("/etc/eeg-copilot/eeg-copilot.toml", changed.replace('node = "n1"', 'node = "n2"'))
    machine.run("systemctl", "reload", UNIT)
    machine.until(lambda: machine.journal("-u", UNIT, "EEG_TAKEN=stream.bed-1.age, stream.bed-1.min_quality"))
    assert machine.journal("-u", UNIT, "EEG_KEYS=mqtt.node")
    machine.write("/etc/eeg-copilot/eeg-copilot.toml", CONFIGURATION + "[mqt]\n")
    machine.run("systemctl", "reload", UNIT)
    refused = "configuration refused, the old one stays"
    machine.until(
        lambda: any(refused in entry["MESSAGE"] for entry in machine.journal("-u", UNIT, "-p", "err"))
    )
    assert "mqt: unknown key" in machine.journal("-u", UNIT, "-p", "err")[-1]["EEG_REASON"]
    assert pid(machine) == before and labels(machine) > 0
    machine.write("/etc/eeg-copilot/eeg-copilot.toml", CONFIGURATION)


def test_broken_configuration_stays_failed_with_one_line(machine: Machine) -> None:
    machine.write("/etc/eeg-copilot/eeg-copilot.toml", CONFIGURATION.replace('"lsl"', '"lsd"'))
    assert machine.result("systemctl", "restart", UNIT).returncode != 0
    assert machine.show(UNIT, "ExecMainStatus") == "78"
    assert machine.show(UNIT, "ActiveState") == "failed"
    assert "refused: /etc/eeg-copilot/eeg-copilot.toml: stream[0].source.kind: 'lsd'" in machine.show(
        UNIT, "StatusText"
    )
    invocation = machine.show(UNIT, "InvocationID")
    said = machine.journal(f"_SYSTEMD_INVOCATION_ID={invocation}")
    assert len(said) == 1 and said[0]["PRIORITY"] == "3"
    # RestartSec has passed twice: it really stays down.
    restarts = machine.show(UNIT, "NRestarts")
    machine.run("sleep", "5")
    assert (machine.show(UNIT, "ActiveState"), machine.show(UNIT, "NRestarts")) == ("failed", restarts)
    machine.write("/etc/eeg-copilot/eeg-copilot.toml", CONFIGURATION)
    machine.run("systemctl", "restart", UNIT)
    assert labels(machine) > 0


def test_upgrade_that_does_not_become_ready_goes_back(machine: Machine, tree: Path) -> None:
    """Its bundle is whole by its hashes, so that only the start itself can find out."""
    make_deb(garbage_bundle(tree, "0.1.1"), machine.root / "root/bad.deb")
    result = machine.result("dpkg", "-i", "/root/bad.deb")
    assert result.returncode != 0
    assert "0.1.1 does not become ready, kept-0.1.0 runs again" in result.stderr
    assert machine.show(UNIT, "ActiveState") == "active"
    assert labels(machine) > 0
    assert "/kept-0.1.0/" in machine.run(
        "tr", "\\0", " ", text=machine.run("cat", f"/proc/{pid(machine)}/cmdline")
    )


def test_upgrade_that_is_refused_is_never_started(machine: Machine, tree: Path) -> None:
    before = pid(machine)
    make_deb(flipped_bundle(tree, "0.1.2"), machine.root / "root/bad.deb")
    result = machine.result("dpkg", "-i", "/root/bad.deb")
    assert result.returncode != 0
    assert "model.onnx" in result.stderr and "0.1.2 is not started" in result.stderr
    assert pid(machine) == before and labels(machine) > 0
    machine.run("dpkg", "-i", "/root/eeg-copilot.deb")
    assert labels(machine) > 0


def test_comes_back_after_a_reboot(machine: Machine) -> None:
    before = labels(machine)
    machine.reboot()
    assert machine.run("systemctl", "is-active", UNIT) == "active"
    assert labels(machine) > before


def test_removed_and_installed_under_opt(machine: Machine, tree: Path) -> None:
    """`make install-service` from the same folder: installs, upgrades, goes back, and is removed."""
    machine.run("dpkg", "--purge", "eeg-copilot")
    assert machine.result("eeg-copilot", "--help").returncode != 0
    assert machine.run("ls", "/var/lib/private/eeg-copilot")
    install = "/root/source/systemd/install.sh"
    shutil.copytree(ROOT / "systemd", machine.root / "root/source/systemd")
    shutil.copytree(tree, machine.root / "root/tree", symlinks=True)
    machine.write("/etc/eeg-copilot/eeg-copilot.toml", CONFIGURATION)
    headset = HEADSET.replace("/usr/lib", "/opt")
    machine.write("/etc/systemd/system/headset.service", headset)
    machine.run("sh", install, "install", "/root/tree")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "headset")
    machine.run("systemctl", "enable", "--now", UNIT)
    assert labels(machine) > 0
    shutil.copytree(garbage_bundle(tree, "0.1.1"), machine.root / "root/bad", symlinks=True)
    result = machine.result("sh", install, "install", "/root/bad")
    assert result.returncode != 0 and "runs again" in result.stderr, result
    assert labels(machine) > 0
    machine.run("sh", install, "uninstall")
    assert machine.run("ls", "/etc/eeg-copilot") == "eeg-copilot.toml"
    assert machine.show(UNIT, "LoadState") == "not-found"


def test_package_is_lintian_clean(tree: Path, tmp_path: Path) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed")
    package = make_deb(tree, tmp_path / "eeg-copilot.deb", "-Zxz -z0")
    result = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", str(package)],
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stdout
