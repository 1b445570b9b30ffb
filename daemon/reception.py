"""Everything that commands need, put together from the configuration."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import structlog

from daemon.archive import Archive
from daemon.authority import Authority
from daemon.broker_log import BrokerLog
from daemon.config import Config
from daemon.door import Door
from daemon.identities import Identities
from daemon.nonces import Nonces
from daemon.signer_settings import must_sign
from daemon.topics import Topics
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
        self._log: BrokerLog | None = None
        if config.mqtt.broker_log is not None:
            base = Topics(config.mqtt.site, config.mqtt.node).base
            self._log = BrokerLog(Path(config.mqtt.broker_log), base, self.trail.refused)
        self.identities = Identities(directory) if config.drafts.identity == "node" else None

    async def follow(self) -> None:
        """What the broker itself refused, as far as its log is here. Until cancelled, or at once."""
        if self._log is not None:
            await self._log.follow()
