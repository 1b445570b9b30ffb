"""The least that a draft can rest on: no guidance, no model."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.drafts.sources import Entry


class NoGuide:
    """Advises nothing."""

    def search(
        self, question: str, k: int = 5, states: Sequence[str] = (), kinds: Sequence[str] = ()
    ) -> Sequence[Entry]:
        return ()


class Plain:
    """Always the first wording."""

    name = "fixed wording"

    def choose(self, lead: str, alternatives: Sequence[str]) -> int:
        return 0

    def compose(self, lead: str, facts: Sequence[str]) -> str:
        return ""
