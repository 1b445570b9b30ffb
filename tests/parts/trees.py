"""What is installed, whole and damaged: the folder of systemd/build-tree.sh, and packages made of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BUNDLE = "lib/python3.11/site-packages/pipeline/bundles/calm-stress"


def make_tree(out: Path, machine: str = "x86_64") -> Path:
    """For Debian 12's Python."""
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    build = ROOT / "systemd" / "build-tree.sh"
    subprocess.run([build, out, uv, "/usr/bin/python3.11", machine], check=True, timeout=300)
    return out


def make_deb(tree: Path, out: Path, compression: str = "-Znone", machine: str = "x86_64") -> Path:
    build = ROOT / "systemd" / "deb.sh"
    subprocess.run([build, tree, out, machine, compression], check=True, timeout=300)
    return out


def flipped_bundle(tree: Path, version: str) -> Path:
    """A newer version whose model has one wrong bit."""
    copy = _newer(tree, version)
    model = copy / _BUNDLE / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    _replace(model, bytes(data))
    return copy


def garbage_bundle(tree: Path, version: str) -> Path:
    """A newer version whose model is not one, with hashes that say it is right."""
    copy = _newer(tree, version)
    model = copy / _BUNDLE / "model.onnx"
    before = hashlib.sha256(model.read_bytes()).hexdigest()
    garbage = os.urandom(1000)
    _replace(model, garbage)
    manifest = copy / _BUNDLE / "bundle.toml"
    text = manifest.read_text()
    assert before in text
    _replace(manifest, text.replace(before, hashlib.sha256(garbage).hexdigest()).encode())
    return copy


def _newer(tree: Path, version: str) -> Path:
    copy = tree.with_name(f"tree-{version}-{os.urandom(2).hex()}")
    subprocess.run(["cp", "-al", tree, copy], check=True)
    _replace(copy / "VERSION", f"{version}\n".encode())
    return copy


def _replace(file: Path, data: bytes) -> None:
    """Another file in its place: the copy shares all others with the original."""
    file.unlink()
    file.write_bytes(data)
