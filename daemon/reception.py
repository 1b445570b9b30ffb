"""Everything that commands need, put together from the configuration."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import structlog

from daemon.archive import Archive
from daemon.authority import Authority
from daemon.config import Config
from daemon.door import Door
from daemon.identities import Identities
from daemon.nonces import Nonces
from daemon.signer_settings import must_sign
from daemon.trail import Trail

log = structlog.get_logger("reception")


class Reception:
    """The audit trail at the node's door, and the door. A context manager's parts are left with `whole`."""

    def __init__(self, whole: ExitStack, config: Config, archive: Archive, directory: Path) -> None:
        """directory: the state directory, which has to be there. Raises OutboxError."""
        self.trail = whole.enter_context(Trail(archive))
        nonces = None
        if must_sign(config.signer, local=config.mqtt.local):
            nonces = whole.enter_context(Nonces(directory))
            if not config.signer:
                log.warning("no command will be obeyed: the broker is elsewhere and there is no [[signer]]")
        authority = Authority(config.signer, config.commands, nonces)
        self.door = Door(authority, self.trail.refused, self.trail.enter)
        self.identities = Identities(directory) if config.drafts.identity == "node" else None
