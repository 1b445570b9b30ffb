"""Commands that prove who sent them, for nodes whose signers have keys: docs/commands.md says how.

A signature under a record is proved by the key of whoever logged in; everything else by the monitor's own.
"""

from __future__ import annotations

import time
from pathlib import Path

from msgspec import Struct

from daemon.errors import CommandError
from daemon.signed_command import seal
from daemon.signer_settings import Id
from pipeline.errors import KeyFileError
from pipeline.keys import private_key


class Keys(Struct, frozen=True, forbid_unknown_fields=True):
    """directory: of `ID.key` files, as `eeg-copilot key new` makes them; None sends commands unsigned.

    signer: whose key proves what is no signature under a record.
    """

    directory: str | None = None
    signer: Id = "monitor"


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
        try:
            # Read for each command and not kept: a key that is taken away works no more.
            key = private_key(Path(self._keys.directory) / f"{who}.key", password)
        except KeyFileError as why:
            raise CommandError(f"no key to sign with as {who!r}: {why}") from None
        return seal(topic, command.decode(), who, key, time.time())
