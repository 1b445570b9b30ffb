"""Ed25519 keys (RFC 8032): private ones in a file of their own, public ones as text for a configuration."""

from __future__ import annotations

import base64
import binascii
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from pipeline.errors import KeyFileError

PREFIX = "ed25519:"
# A private key in PEM takes some 120 bytes.
_MOST_BYTES = 4096


def public_key(text: str) -> Ed25519PublicKey:
    """text: `ed25519:` and 32 bytes in base64. Raises KeyFileError."""
    try:
        raw = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        if text.startswith(PREFIX):
            return Ed25519PublicKey.from_public_bytes(raw)
    except (binascii.Error, ValueError):
        pass
    raise KeyFileError(f"not a public key: must be {PREFIX} and 44 characters, as `eeg-copilot key new` says")


def public_text(key: Ed25519PrivateKey) -> str:
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return PREFIX + base64.b64encode(raw).decode()


def new_key(path: Path, password: str | None = None) -> Ed25519PrivateKey:
    """Makes a key and writes it, PKCS 8 in PEM, for its owner alone. password: encrypts it.

    Raises KeyFileError, also where `path` is there already: an overwritten key cannot be had back.
    """
    key = Ed25519PrivateKey.generate()
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        lock = serialization.BestAvailableEncryption(password.encode())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(pem)
    except OSError as why:
        raise KeyFileError(f"{path}: cannot be written: {why.strerror}") from None
    return key


def private_key(path: Path, password: str | None = None) -> Ed25519PrivateKey:
    """password: only for a file that is encrypted. Raises KeyFileError, also where others on this machine may
    read the file."""
    try:
        status = path.stat()
        raw = path.read_bytes() if status.st_size <= _MOST_BYTES else b""
    except OSError as why:
        raise KeyFileError(f"{path}: cannot be read: {why.strerror}") from None
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise KeyFileError(f"{path}: others may read this private key: chmod 600 it")
    try:
        key = serialization.load_pem_private_key(raw, None)
    except TypeError:  # encrypted
        key = _unlocked(path, raw, password)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: not a private key as `eeg-copilot key new` makes it")
    return key


def _unlocked(path: Path, raw: bytes, password: str | None) -> PrivateKeyTypes:
    if not password:
        raise KeyFileError(f"{path}: is encrypted, and no password was given")
    try:
        return serialization.load_pem_private_key(raw, password.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path}: does not open with this password") from None


def sign(key: Ed25519PrivateKey, message: bytes) -> str:
    """The signature, 64 bytes in base64."""
    return base64.b64encode(key.sign(message)).decode()


def verified(key: str, message: bytes, signature: str) -> bool:
    """key: as text. Raises KeyFileError where the key is none; a signature that is none is just wrong."""
    try:
        public_key(key).verify(base64.b64decode(signature, validate=True), message)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
