"""Where commands come in: who may, and how often, so that nobody who is noisy is in another's way."""

from __future__ import annotations

import time
from collections.abc import Callable

from daemon.authority import Admitted, Authority, StrangerError
from daemon.errors import CommandError
from daemon.rates import Allowance
from daemon.signer_settings import ALL_VERBS, CommandRules

# At once, and then one every so many seconds: of each signer, for each stream. A person at a bed needs fewer;
# a loop that has run wild would keep a sitting calibrating, or the writing thread busy, for ever.
_RATES: dict[str, tuple[int, float]] = {
    "calibrate": (6, 20.0),
    "patient": (10, 10.0),
    "draft": (10, 10.0),
    "sign": (30, 2.0),
    "ask": (20, 3.0),
    "replay-outbox": (6, 30.0),
}
assert set(_RATES) == set(ALL_VERBS)
# Each answer to a refused command costs a row of the outbox and a line of the log.
_ANSWERS = (50, 1.0)

Note = Callable[..., None]


def _unnoted(*_: object, **__: object) -> None:
    """For a node without records."""


class Door:
    """note: enters a stranger's deed into the audit trail, at a bounded rate; obeyed: a signer's."""

    def __init__(
        self, authority: Authority | None = None, note: Note = _unnoted, obeyed: Note = _unnoted
    ) -> None:
        self.unanswered = 0
        """Refused without an answer, as there were too many."""
        self._authority = authority or Authority((), CommandRules(), None)
        self._note = note
        self._obeyed = obeyed
        self._rates: dict[tuple[str, str, str], Allowance] = {}
        self._answers = {True: Allowance(*_ANSWERS), False: Allowance(*_ANSWERS)}

    def admit(self, topic: str, verb: str, payload: bytes, *, retained: bool) -> Admitted:
        """Raises CommandError."""
        return self._authority.admit(topic, verb, payload, time.time(), retained=retained)

    def count(self, admitted: Admitted, stream: str, verb: str) -> None:
        """To be called with names that exist, just before a command is obeyed. Raises CommandError."""
        who = admitted.signer.id if admitted.signer is not None else ""
        allowance = self._rates.setdefault((who, stream, verb), Allowance(*_RATES[verb]))
        now = time.monotonic()
        if not allowance.take(now):
            raise CommandError(f"too many {verb}: try again in {allowance.wait_s(now) + 1:.0f} s")
        if who:
            self._obeyed(who, "command", stream=stream, verb=verb)

    def refused(self, stream: str, verb: str, why: CommandError) -> bool:
        """Notes a refusal; whether it may be answered. stream, verb: fit for print."""
        stranger = isinstance(why, StrangerError)
        if isinstance(why, StrangerError):
            self._note(
                "stranger", "command refused", stream=stream, verb=verb, claimed=why.claimed, reason=str(why)
            )
        if self._answers[stranger].take(time.monotonic()):
            return True
        self.unanswered += 1
        return False
