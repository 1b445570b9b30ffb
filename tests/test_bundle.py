"""A bundle is whole and fits this program, or is refused in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.bundle import CARD, MANIFEST, MODEL, TOKENIZER, Bundle, shipped_bundle
from pipeline.bundle_signature import SIGNATURE
from pipeline.errors import BundleError
from pipeline.reader import Reader

ROOT = Path(__file__).parents[1]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped_bundle(), tmp_path / "bundle"))


def refused(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.load(path)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_the_shipped_bundle_is_sound_small_and_honest() -> None:
    bundle = Bundle.load(shipped_bundle())
    manifest = bundle.manifest
    assert bundle.id == "calm-stress-1"
    assert manifest.labels == ("calm", "stress")
    assert sum(file.stat().st_size for file in bundle.path.iterdir()) < 30e6
    assert manifest.metrics.macro_f1 >= manifest.metrics.baseline_macro_f1
    card = (bundle.path / CARD).read_text()
    for needed in ("Research use only", "ODC-By 1.0", "Zyma", "Confounds", "Must not be used", "SVM-RBF"):
        assert needed in card
    assert f"{manifest.metrics.macro_f1:.3f}" in card
    assert f"{manifest.metrics.baseline_macro_f1:.3f}" in card


@pytest.mark.parametrize("name", [MODEL, TOKENIZER, CARD])
def test_one_flipped_byte_is_found(copy: Path, name: str) -> None:
    raw = bytearray((copy / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (copy / name).write_bytes(raw)
    assert name in refused(copy) and "damaged" in refused(copy)


def test_missing_parts(copy: Path, tmp_path: Path) -> None:
    assert "give a folder that holds bundle.toml" in refused(tmp_path / "nowhere")
    (copy / MODEL).unlink()
    assert MODEL in refused(copy)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("version = 1", "version = 'one'", "version"),
        ("version = 1", "verzion = 1", "verzion"),
        ("[pipeline]", "[pipeline", "damaged"),
        ("hop = 2.0", "hop = 1.0", "another signal chain"),
        ("prompt_version = 1", "prompt_version = 99", "another signal chain or prompt"),
        ('"model.onnx" =', '"../model.onnx" =', "no hash for model.onnx"),
        ('"MODEL_CARD.md" =', '"../../etc/passwd" = "x"\n"MODEL_CARD.md" =', "not a plain file name"),
    ],
)
def test_a_wrong_manifest_is_refused(copy: Path, old: str, new: str, told: str) -> None:
    text = (copy / MANIFEST).read_text()
    assert old in text
    (copy / MANIFEST).write_text(text.replace(old, new))
    assert told in refused(copy)


def test_a_manifest_of_bytes_or_of_a_gigabyte_is_refused(copy: Path) -> None:
    (copy / MANIFEST).write_bytes(b"\xff\xfe\x00")
    assert "damaged" in refused(copy)
    with (copy / MANIFEST).open("wb") as file:
        file.truncate(1 << 30)
    assert "not a manifest" in refused(copy)


def verify(path: Path) -> str:
    """What `eeg-copilot bundle verify` says, one line, in a process that may take 3 GB and a minute."""
    limited = ["prlimit", f"--as={3 << 30}", sys.executable, "-m", "daemon", "bundle", "verify", str(path)]
    told = subprocess.run(limited, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert told.returncode == 78 and len(told.stderr.splitlines()) == 1, told.stderr
    return told.stderr


@pytest.mark.parametrize(
    "rubbish",
    [
        *("a = " + "[" * 100_000, "version = " + "9" * 5000, "version = 0x" + "f" * 5000),
        *("[pipeline]\nmin_channels = 0x" + "f" * 5000, "temperature = nan", "abstain_below = nan"),
    ],
    ids=lambda text: text[:20],
)
def test_a_hostile_manifest_is_refused_in_one_line(copy: Path, rubbish: str) -> None:
    """Each in the place of what a sound manifest holds there."""
    *table, setting = rubbish.split("\n")
    key = setting.partition(" = ")[0]
    lines = (copy / MANIFEST).read_text().splitlines()
    kept = [line for line in lines if not line.startswith(f"{key} = ")]
    at = kept.index(table[0]) + 1 if table else 0
    (copy / MANIFEST).write_text("\n".join([*kept[:at], setting, *kept[at:]]))
    assert "damaged" in refused(copy)
    assert "damaged" in verify(copy)


def test_files_that_are_none_are_refused_at_once(copy: Path) -> None:
    sound = (copy / MANIFEST).read_text()
    for name in ("a\\u0000b", "..", "."):
        (copy / MANIFEST).write_text(sound.replace("[files]", f'[files]\n"{name}" = "00"'))
        assert "restore the bundle" in refused(copy) or "not a plain file name" in refused(copy)
    (copy / MANIFEST).write_text(sound)
    (copy / CARD).unlink()
    os.mkfifo(copy / CARD)
    assert f"{CARD}: not a plain file" in verify(copy)
    (copy / CARD).unlink()
    with (copy / CARD).open("wb") as file:
        file.truncate(1 << 40)
    assert "its files are over" in verify(copy)
    (copy / MANIFEST).unlink()
    (copy / MANIFEST).symlink_to("/dev/zero")
    assert "no bundle at" in verify(copy) and "not a plain file" in verify(copy)
    (copy / MANIFEST).unlink()
    os.mkfifo(copy / MANIFEST)
    assert "not a plain file" in verify(copy)


def test_a_signature_that_is_a_pipe_is_none(copy: Path) -> None:
    os.mkfifo(copy / SIGNATURE)
    with pytest.raises(BundleError, match=r"no bundle\.sig"):
        Bundle.load(copy, ["ed25519:x"])


def test_links_to_files_are_taken(copy: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for file in copy.iterdir():
        (linked / file.name).symlink_to(file)
    assert Bundle.load(linked).id == Bundle.load(copy).id


def test_a_model_that_does_not_load_is_one_line(copy: Path) -> None:
    """Hashes right, contents wrong: someone sealed rubbish."""
    import hashlib

    text, old = (copy / MANIFEST).read_text(), hashlib.sha256((copy / MODEL).read_bytes()).hexdigest()
    (copy / MODEL).write_bytes(b"not a model")
    (copy / MANIFEST).write_text(text.replace(old, hashlib.sha256(b"not a model").hexdigest()))
    with pytest.raises(BundleError, match="the model does not load") as caught:
        Reader(Bundle.load(copy))
    assert "\n" not in str(caught.value)
