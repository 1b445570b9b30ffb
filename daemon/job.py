"""Something that the drafting thread has to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(eq=False)
class Job:
    """work: in the thread. after: in the event loop, with its result; gives the command's answer.

    last: in the thread again, where the result has been told. what: its name in the log. due: nobody asked
    for it. result, told: once they are there.
    """

    work: Callable[[], Any]
    after: Callable[[Any], str]
    last: Callable[[Any], None] | None
    done: asyncio.Future[str]
    what: str
    due: bool
    result: Any = None
    told: str | None = None

    @property
    def waits(self) -> bool:
        """For a disk that is full: nobody asked for it, or it is told and lacks only what makes it last."""
        return self.due or self.told is not None

    def refuse(self, why: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(why)
            self.done.exception()  # whoever waits gets it; nobody has to
