"""Keys, and bundles signed with them: what is unsigned or wrongly signed is refused in one line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from node import configuration, stream

from pipeline.bundle import CARD, MANIFEST, Bundle, file_sha256, read_manifest, shipped_bundle
from pipeline.bundle_signature import SIGNATURE, write_signature
from pipeline.errors import BundleError, KeyFileError
from pipeline.keys import new_key, private_key, public_text, sign, verified

ROOT = Path(__file__).parents[1]


def copilot(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "daemon", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)


def test_a_key_is_its_owners_alone_and_signs(tmp_path: Path) -> None:
    key = new_key(tmp_path / "a.key")
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600
    again = private_key(tmp_path / "a.key")
    assert public_text(again) == public_text(key)
    signature = sign(again, b"message")
    assert verified(public_text(key), b"message", signature)
    assert not verified(public_text(key), b"massage", signature)
    assert not verified(public_text(new_key(tmp_path / "b.key")), b"message", signature)
    for none in ("", "x", "é", "A" * 88, signature[:-4]):
        assert not verified(public_text(key), b"message", none)
    with pytest.raises(KeyFileError, match="File exists"):
        new_key(tmp_path / "a.key")
    (tmp_path / "a.key").chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        private_key(tmp_path / "a.key")


def test_an_encrypted_key_opens_with_its_password_only(tmp_path: Path) -> None:
    file = tmp_path / "e.key"
    made = subprocess.run(
        [sys.executable, "-m", "daemon", "key", "new", str(file), "--encrypted"],
        capture_output=True, text=True, timeout=60, cwd=ROOT, input="her password\n",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert public_text(private_key(file, "her password")) == made.stdout.strip()
    for wrong, why in ((None, "no password was given"), ("", "no password"), ("another", "does not open")):
        with pytest.raises(KeyFileError, match=why):
            private_key(file, wrong)


@pytest.mark.parametrize("content", [b"", b"not a key", b"\xff" * 9000, b"-----BEGIN PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(KeyFileError, match="not a private key") as refusal:
        private_key(file)
    assert "\n" not in str(refusal.value)


def test_a_key_that_openssl_made_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "o.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(file)], check=True)
    file.chmod(0o600)
    assert public_text(private_key(file)).startswith("ed25519:")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return shutil.copytree(shipped_bundle(), tmp_path / "bundle")


def test_only_a_bundle_signed_by_a_trusted_key_is_taken(bundle: Path, tmp_path: Path) -> None:
    key, other = new_key(tmp_path / "a.key"), new_key(tmp_path / "b.key")
    trusted = [public_text(key)]

    def refused(part: str) -> None:
        with pytest.raises(BundleError, match=part) as refusal:
            Bundle.load(bundle, trusted)
        assert "\n" not in str(refusal.value)

    refused("no bundle.sig")
    write_signature(bundle, read_manifest(bundle), other)
    refused("no trusted key")
    # The right key's name over another key's signature.
    told = (bundle / SIGNATURE).read_text().replace(public_text(other), public_text(key))
    (bundle / SIGNATURE).write_text(told)
    refused("changed after it was signed")
    write_signature(bundle, read_manifest(bundle), key)
    assert Bundle.load(bundle, [public_text(other), *trusted]).id == Bundle.load(bundle).id
    # Sealed anew with other contents, hashes and all.
    card = bundle / CARD
    old = Bundle.load(bundle).manifest.files[CARD]
    card.write_text("another card")
    (bundle / MANIFEST).write_text((bundle / MANIFEST).read_text().replace(old, file_sha256(card)))
    assert Bundle.load(bundle)
    refused("changed after it was signed")
    for rubbish in (b"", b"{}", b"[" * 4000, b"\xff\xfe", b"x" * 5000):
        (bundle / SIGNATURE).write_bytes(rubbish)
        refused("not a signature")


def test_sign_and_verify_on_the_command_line(bundle: Path, tmp_path: Path) -> None:
    made = copilot("key", "new", tmp_path / "a.key")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert copilot("key", "show", tmp_path / "a.key").stdout.strip() == key
    node = configuration(
        tmp_path,
        1883,
        f'[model]\nbundle = "bundle"\ntrusted_keys = ["{key}"]\n' + stream("bed", 'kind = "simulator"'),
    )
    for verb in ("run", "check-config"):
        refused = copilot(verb, node)
        assert refused.returncode == 78 and len(refused.stderr.splitlines()) == 1
        assert "no bundle.sig" in refused.stderr
    assert copilot("bundle", "sign", bundle).returncode == 1
    signed = copilot("bundle", "sign", bundle, "--key", tmp_path / "a.key")
    assert signed.returncode == 0 and key in signed.stdout, signed.stderr
    assert copilot("check-config", node).returncode == 0
    assert f"signed by {key}" in copilot("bundle", "verify", bundle, "--trusted", key).stdout
