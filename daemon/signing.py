"""A signature: who may give one, for what, and the version that it makes."""

from __future__ import annotations

import time
from collections.abc import Mapping

from daemon.archive import Archive
from daemon.errors import CommandError
from daemon.messages import iso
from daemon.record_commands import Sign
from daemon.signer_settings import Signer
from pipeline.drafts.context import clean
from pipeline.drafts.record import Draft, Signature, digest, signed


def sign(archive: Archive, signers: Mapping[str, Signer], stream: str, command: Sign) -> Draft:
    """Stores and returns the signed version. Raises CommandError; a refusal is entered into the trail."""
    try:
        draft, signer = _allowed(archive, signers, stream, command)
    except CommandError as why:
        archive.note(
            command.signer, "signature refused", about=command.draft, asked=command.version, reason=str(why)
        )
        raise
    signature = Signature(
        who=signer.id,
        role=signer.role,
        when=iso(time.time()),
        decision=command.decision,
        comment=clean(command.comment),
        of_version=draft.version,
        of_sha256=digest(draft),
    )
    amendments = {
        str(key): "\n".join(clean(line) for line in text.splitlines())
        for key, text in command.sections.items()
    }
    made = signed(draft, signature, amendments)
    archive.add(made, signer.id, command.decision, of_version=draft.version)
    return made


def _allowed(
    archive: Archive, signers: Mapping[str, Signer], stream: str, command: Sign
) -> tuple[Draft, Signer]:
    signer = signers.get(command.signer)
    if signer is None:
        raise CommandError(
            f"{command.signer!r} is no signer of this node: see [[signer]] in its configuration"
        )
    draft = archive.newest(command.draft)
    if draft is None or draft.provenance.stream != stream:
        raise CommandError(f"no draft {command.draft} of this stream")
    if draft.signature is not None:
        done = draft.signature
        raise CommandError(
            f"already decided: {done.decision} by {done.who} at {done.when}; a draft is signed once"
        )
    if command.version != draft.version:
        raise CommandError(
            f"version {command.version} is stale: version {draft.version} is the newest, read it"
        )
    if command.sha256 is not None and command.sha256 != digest(draft):
        raise CommandError("the hash is not that of this version: what was read is not what is stored")
    if (command.decision == "amend") != bool(command.sections):
        raise CommandError("the decision amend needs new sections, and the others must have none")
    return draft, signer
