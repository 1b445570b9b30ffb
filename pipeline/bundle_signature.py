"""`bundle.sig`: who vouches for a bundle. Its manifest is signed, which holds every file's hash."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.errors import BundleError
from pipeline.keys import public_text, sign, verified
from pipeline.plain_file import read_at_most

SIGNATURE = "bundle.sig"
_SCHEMA = "eegcopilot.bundle-signature/1"
# What is signed begins with it, so that no signature for another purpose passes for one of a bundle.
_PURPOSE = f"{_SCHEMA}\n".encode()
_MOST_BYTES = 4096


class BundleSignature(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="schema",
    tag=_SCHEMA,
):
    """key: the public key, as text. signature: base64."""

    key: str
    signature: str


def write_signature(folder: Path, manifest: bytes, key: Ed25519PrivateKey) -> Path:
    """manifest: the bytes of the folder's `bundle.toml`. Raises BundleError."""
    made = BundleSignature(public_text(key), sign(key, _PURPOSE + manifest))
    path = folder / SIGNATURE
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    except OSError as why:
        raise BundleError(f"{path}: cannot be written: {why.strerror}") from None
    return path


def check_signature(folder: Path, manifest: bytes, trusted: Collection[str]) -> str:
    """The key, one of `trusted`, that vouches for the manifest. Raises BundleError, KeyFileError."""
    path = folder / SIGNATURE
    try:
        told = msgspec.json.decode(read_at_most(path, _MOST_BYTES) or b"", type=BundleSignature)
    except OSError:
        raise BundleError(
            f"{folder}: no {SIGNATURE}, and only signed bundles are trusted: see `eeg-copilot bundle sign`"
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BundleError(f"{path}: not a signature: sign the bundle anew") from None
    if told.key not in trusted:
        raise BundleError(f"{path}: signed by {told.key[:60]!r}, which is no trusted key")
    if not verified(told.key, _PURPOSE + manifest, told.signature):
        raise BundleError(
            f"{path}: it does not fit {folder.name}: the bundle was changed after it was signed"
        )
    return told.key
