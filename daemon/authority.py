"""Whether a command may be obeyed: whose it is, and what they may do here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from daemon.config_errors import explain, one_line
from daemon.errors import CommandError, OutboxError
from daemon.messages import unix
from daemon.nonces import FILE, Nonces
from daemon.signed_command import SCHEMA, SignedCommand
from daemon.signer_settings import CommandRules, Signer
from pipeline.json_input import decode_json


class StrangerError(CommandError):
    """A command of nobody who may give it. claimed: the signer that it names, empty where it names none."""

    def __init__(self, reason: str, claimed: str = "") -> None:
        super().__init__(reason)
        self.claimed = claimed


@dataclass(frozen=True, slots=True)
class Admitted:
    """signer: who proved to have sent it; None where nobody has to. command: its JSON."""

    signer: Signer | None
    command: bytes


class Authority:
    """The node's own list of signers. The broker's access rules come before it, and do not replace it."""

    def __init__(self, signers: Sequence[Signer], rules: CommandRules, nonces: Nonces | None) -> None:
        """nonces: None where commands need no proof: see `signer_settings.must_sign`."""
        self._signers = {signer.id: signer for signer in signers}
        self._rules = rules
        self._nonces = nonces

    def admit(self, topic: str, verb: str, payload: bytes, now: float, *, retained: bool = False) -> Admitted:
        """now: UTC seconds. Raises StrangerError; CommandError for a signer's mistakes and a full disk."""
        if retained:
            # It would be obeyed again at every reconnection. Anybody can have retained what a signer signed.
            refusal = CommandError if self._nonces is None else StrangerError
            raise refusal("retained commands are not obeyed: publish without the retain flag")
        if self._nonces is None:
            return Admitted(None, payload)
        told = _read(payload)
        signer = self._signers.get(told.signer)
        if signer is None or signer.public_key is None:
            raise StrangerError(f"{told.signer!r} is no signer of this node", told.signer)
        if not told.fits(signer.public_key):
            raise StrangerError(f"not signed by {signer.id!r}, or changed since", signer.id)
        if told.topic != topic:
            raise StrangerError(f"signed for another topic: {one_line(told.topic)[:200]}", signer.id)
        if verb not in signer.may:
            raise StrangerError(f"{signer.id!r} may not {verb}: only {', '.join(signer.may)}", signer.id)
        signed = _signed(told.time)
        off = now - signed
        if abs(off) > self._rules.max_age_s:
            raise StrangerError(
                f"signed {abs(off):.0f} s {'ago' if off > 0 else 'ahead'} by this node's clock, at most "
                f"{self._rules.max_age_s:g} s are allowed: sign it anew, or set the clocks",
                signer.id,
            )
        # A signer whose clock was wrong, but within what is allowed, and was then set right is never out.
        try:
            taken = self._nonces.take(signer.id, told.nonce, signed, 2 * self._rules.max_age_s)
        except OutboxError as why:
            raise CommandError(f"cannot be remembered, so not obeyed: {why}") from None
        if taken == "seen":
            raise StrangerError("a replay: this very command was obeyed before", signer.id)
        if taken == "old":
            raise StrangerError(
                f"signed long before the latest command of {signer.id!r} that was obeyed: sign it anew; "
                f"where clocks were far ahead then, move {FILE} out of the state directory",
                signer.id,
            )
        return Admitted(signer, told.command.encode())


def _read(payload: bytes) -> SignedCommand:
    try:
        raw = decode_json(payload or b"null")
    except ValueError:
        raw = None
    if not (isinstance(raw, dict) and raw.get("schema") == SCHEMA):
        raise StrangerError(f"this node obeys signed commands only ({SCHEMA}): see docs/commands.md")
    try:
        return msgspec.convert(raw, SignedCommand)
    except msgspec.ValidationError as why:
        # Nothing of it is repeated: it may be about a patient, and answers, log and trail have other readers.
        raise StrangerError(f"bad signed command: {explain(why, raw, SignedCommand, repeat=False)}") from None


def _signed(time: str) -> float:
    """UTC seconds."""
    try:
        if time.endswith("Z"):
            return unix(time)
    except (ValueError, OverflowError, OSError):
        pass
    raise StrangerError("time: must be UTC, like 2026-01-31T12:00:00Z")
