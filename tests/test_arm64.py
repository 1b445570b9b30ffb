"""What an arm64 machine gets: resolved from wheels alone, each library of its kind, and no BrainFlow."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from trees import make_deb, make_tree

ROOT = Path(__file__).parents[1]
SIMULATOR = '[mqtt]\nport = 1\n[[stream]]\nname = "bed"\nsource = {kind = "simulator"}\n'
# ELF's e_machine (elf.h)
AARCH64 = 183

# Debian's Python for arm64, unpacked only: made by `make arm64-check`.
ARM_ROOT = ROOT / "build" / "boot" / "arm64.tar"
PI_4 = """processor\t: 0
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

Hardware\t: BCM2711
"""

pytestmark = pytest.mark.timeout(900)


def machines(tree: Path) -> dict[int, set[str]]:
    """Shared libraries in `tree`, by the machine they are for."""
    found: dict[int, set[str]] = {}
    for file in tree.rglob("*"):
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as head:
                start = head.read(20)
            if start[:4] == b"\x7fELF":
                found.setdefault(int.from_bytes(start[18:20], "little"), set()).add(file.name)
    return found


@pytest.fixture(scope="module")
def arm64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("arm64") / "tree", "aarch64")


@pytest.fixture(scope="module")
def without_brainflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This machine's own set, less what arm64 has not."""
    tree = make_tree(tmp_path_factory.mktemp("x86") / "tree")
    site = tree / "lib/python3.11/site-packages"
    for folder in [*site.glob("brainflow*"), *site.glob("setuptools*"), site / "pkg_resources"]:
        shutil.rmtree(folder)
    return tree


def test_every_library_is_for_arm64(arm64: Path) -> None:
    found = machines(arm64)
    assert set(found) == {AARCH64}, {k: sorted(v)[:5] for k, v in found.items()}
    assert len(found[AARCH64]) > 100
    assert any(name.startswith("onnxruntime_pybind11_state") for name in found[AARCH64])
    assert "liblsl.so" in found[AARCH64]
    installed = {path.name.split("-")[0].lower() for path in arm64.rglob("*.dist-info")}
    assert "brainflow" not in installed and "setuptools" not in installed
    assert {"onnxruntime", "tokenizers", "pylsl", "aiomqtt", "eeg_emotion_copilot"} <= installed


def test_package_for_arm64(arm64: Path, tmp_path: Path) -> None:
    package = make_deb(arm64, tmp_path / "arm64.deb", machine="aarch64")
    field = subprocess.run(
        ["dpkg-deb", "-f", package, "Architecture"], capture_output=True, text=True, check=True
    )
    assert field.stdout.strip() == "arm64"


@pytest.mark.skipif(not Path("/usr/bin/python3.11").exists(), reason="the folder is for Debian 12's Python")
def test_starts_without_brainflow(without_brainflow: Path, tmp_path: Path) -> None:
    """READY with any other source; one line, and 78, for a board."""
    command = without_brainflow / "bin" / "eeg-copilot"
    file = tmp_path / "copilot.toml"
    file.write_text(f'[state]\ndirectory = "state"\n{SIMULATOR}')
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(60)
        environment = os.environ | {"NOTIFY_SOCKET": address}
        process = subprocess.Popen([command, "run", file], env=environment, stderr=subprocess.DEVNULL)
        try:
            while systemd.recv(4096) != b"READY=1":
                pass
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
    file.write_text(file.read_text().replace('"simulator"', '"brainflow", board = "cyton"'))
    refused = subprocess.run([command, "run", file], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 78
    assert "'brainflow' cannot be had on this machine" in refused.stderr.splitlines()[-1]


def test_liblsl_borrowed_from_mne_lsl(arm64: Path, tmp_path: Path) -> None:
    """On a machine whose pylsl brings none: found through the other package's own list of files."""
    site = tmp_path / "site"
    record = site / "mne_lsl-1.14.0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: mne-lsl\nVersion: 1.14.0\n")
    (record / "RECORD").write_text("mne_lsl/lsl/lib/liblsl.so.1.17.7,,\n")
    library = site / "mne_lsl/lsl/lib/liblsl.so.1.17.7"
    library.parent.mkdir(parents=True)
    import pylsl.lib

    own = next(Path(pylsl.lib.__file__).parent.glob("liblsl.so"))
    shutil.copy(own, library)
    ask = (
        "import os, daemon.sources.liblsl as l; "
        "print(os.environ['PYLSL_LIB']); print(l.pylsl.library_version())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYLSL_LIB"} | {"PYTHONPATH": f"{site}:{ROOT}"}
    told = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, env=environment, timeout=60
    )
    path, version = told.stdout.split()
    assert Path(path) == library and int(version) > 110


@pytest.mark.skipif(
    shutil.which("qemu-aarch64-static") is None or not ARM_ROOT.exists(),
    reason="emulation is for make arm64-check",
)
def test_labels_under_emulation(arm64: Path, tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    """The arm64 set itself, on an emulated Cortex-A72, labels a recording as this machine does."""
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", ARM_ROOT], check=True)
    # ONNX Runtime asks there which processor it has, and must not be told of this machine's.
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc" / "cpuinfo").write_text(PI_4)
    given = {"PYTHONHOME": root / "usr", "PYTHONPATH": arm64 / "lib/python3.11/site-packages"}
    variables = [word for key, value in given.items() for word in ("-E", f"{key}={value}")]
    emulator = [
        "qemu-aarch64-static",
        "-cpu",
        "cortex-a72",
        "-L",
        root,
        *variables,
        root / "usr/bin/python3.11",
    ]
    what = ["-m", "daemon", "label", shared_data("eegmat/Subject01_2.edf"), "--calibrate-seconds", "15"]
    told = []
    for python in (emulator, [sys.executable]):
        result = subprocess.run(
            [*python, *what, "--jsonl", "-"],
            capture_output=True,
            text=True,
            env=os.environ | {"OPENBLAS_CORETYPE": "ARMV8"} if python is emulator else os.environ,
            cwd=tmp_path if python is emulator else ROOT,
        )
        told.append([json.loads(line) for line in result.stdout.splitlines()])
        assert told[-1], result.stderr
    assert [reading["label"] for reading in told[0]] == [reading["label"] for reading in told[1]]
    for emulated, here in zip(*told, strict=True):
        for label, p in here["p"].items():
            assert emulated["p"][label] == pytest.approx(p, abs=0.02)
