"""What happens at the node's door, entered into the audit trail: off the event loop, at a bounded rate."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import structlog

from daemon.archive import Archive
from daemon.errors import OutboxError
from daemon.rates import Allowance

log = structlog.get_logger("trail")

# Whoever knocks without end must not be able to fill the disk: at most 8,700 entries a day.
_BURST, _EVERY_S = 60, 10.0


class Trail(AbstractContextManager["Trail"]):
    """Leaving it waits for what is under way; the archive has to stay open until then."""

    def __init__(self, archive: Archive) -> None:
        self.left_out = 0
        """Deeds that no entry of their own tells of; the next entry says how many."""
        self._archive = archive
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="trail")
        self._allowance = Allowance(_BURST, _EVERY_S)

    def __exit__(self, *exc: object) -> None:
        if self.left_out:
            self._submit("node", "deeds left out", {})
        self._thread.shutdown()

    def enter(self, actor: str, action: str, **detail: Any) -> None:
        """A deed of somebody known."""
        self._submit(actor, action, detail)

    def refused(self, actor: str, action: str, **detail: Any) -> None:
        """A deed that anybody can repeat as often as they like."""
        if self._allowance.take(time.monotonic()):
            self._submit(actor, action, detail)
        else:
            self.left_out += 1

    def _submit(self, actor: str, action: str, detail: dict[str, Any]) -> None:
        if self.left_out:
            detail = detail | {"left_out_before": self.left_out}
            self.left_out = 0
        self._thread.submit(self._archive.note, actor, action, **detail).add_done_callback(_complain)


def _complain(done: Future[None]) -> None:
    why = done.exception()
    if isinstance(why, OutboxError):
        log.error("not entered into the audit trail", reason=str(why))
    elif why is not None:
        raise why
