"""Commands that prove who sent them, for nodes whose signers have keys: docs/commands.md says how.

A signature under a record is proved by the key of whoever logged in; everything else by the monitor's own.
"""

from __future__ import annotations

import base64
import json
import secrets
import stat
import time
from pathlib import Path
from typing import Annotated

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Meta, Struct

from daemon.config_errors import one_line
from daemon.errors import CommandError
from daemon.messages import iso

SCHEMA = "eegcopilot.command/1"


class Keys(Struct, frozen=True, forbid_unknown_fields=True):
    """directory: of `ID.key` files (Ed25519, PKCS 8 in PEM); None sends commands unsigned.

    signer: whose key proves what is no signature under a record.
    """

    directory: str | None = None
    signer: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")] = "monitor"


class Sealer:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def payload(self, topic: str, command: bytes, signer: str = "", password: str | None = None) -> bytes:
        """What is to be published. signer: the id of whoever signs a record; empty for the monitor's own.

        password: opens a key file that is encrypted. Raises CommandError where the key cannot be used.
        """
        if self._keys.directory is None:
            return command
        who = signer or self._keys.signer
        key = _key(Path(self._keys.directory) / f"{who}.key", password)
        fields = {
            "schema": SCHEMA,
            "topic": topic,
            "command": command.decode(),
            "signer": who,
            "time": iso(time.time()),
            "nonce": secrets.token_hex(16),
        }
        # Canonical: strings only, for which RFC 8785 and Python's own encoder agree.
        said = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        fields["signature"] = base64.b64encode(key.sign(said)).decode()
        return json.dumps(fields).encode()


def _key(file: Path, password: str | None) -> Ed25519PrivateKey:
    """Read for each command and not kept: a key that is taken away works no more."""
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise CommandError(f"{file.name} may be read by others: chmod 600 it")
        pem = file.read_bytes()
    except OSError as why:
        raise CommandError(f"{file.name} cannot be read in keys.directory: {why.strerror}") from None
    try:
        try:
            key = load_pem_private_key(pem, None)
        except TypeError:  # it is encrypted
            key = load_pem_private_key(pem, (password or "").encode() or None)
    except (TypeError, ValueError, UnsupportedAlgorithm) as why:
        raise CommandError(f"{file.name} cannot be opened: {one_line(str(why))[:120]}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise CommandError(f"{file.name} holds no Ed25519 key")
    return key
