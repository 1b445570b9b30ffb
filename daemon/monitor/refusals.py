"""Refusals in the trail, at a bounded rate: whoever is refused can come again as often as they like."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from daemon.rates import Allowance

# Of one source at once, and then one every so many seconds: at most 8,700 entries a day.
_BURST, _EVERY_S = 60, 10.0
# Sources that are told apart, some for each bed and account; the others share one.
_MOST_SOURCES = 2000


@dataclass
class _Source:
    """left_out: refusals that no entry of their own tells of."""

    allowance: Allowance = field(default_factory=lambda: Allowance(_BURST, _EVERY_S))
    left_out: int = 0


class Refusals:
    """note: enters who and deed, with details, into the trail."""

    def __init__(self, note: Callable[..., None]) -> None:
        self._note = note
        self._sources: dict[str, _Source] = {}

    def enter(self, source: str, who: str, deed: str, **detail: object) -> bool:
        """False where it is left out: the next entry of this source, or the last, says how many were.

        source: who brings it about, such as a node; one that floods leaves the others their entries.
        """
        if source not in self._sources and len(self._sources) >= _MOST_SOURCES:
            source = ""
        here = self._sources.setdefault(source, _Source())
        if not here.allowance.take(time.monotonic()):
            here.left_out += 1
            return False
        if here.left_out:
            detail["left_out_before"] = here.left_out
            here.left_out = 0
        self._note(who, deed, **detail)
        return True

    def close(self) -> None:
        """Enters what is still untold."""
        for name, source in self._sources.items():
            if source.left_out:
                self._note("monitor", "refusals left out", source=name, left_out=source.left_out)
                source.left_out = 0
