"""What an arm64 machine gets: resolved from wheels alone, each library of its kind, and no BrainFlow."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from trees import make_deb, make_tree

ROOT = Path(__file__).parents[1]
SIMULATOR = '[mqtt]\nport = 1\n[[stream]]\nname = "bed"\nsource = {kind = "simulator"}\n'
# ELF's e_machine (elf.h)
X86_64, AARCH64 = 62, 183

pytestmark = pytest.mark.timeout(600)


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
