"""Something that the drafting thread has to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Job:
    """what: its name in the log. work: in the thread. after: in the event loop, with its result; gives the
    command's answer. last: in the thread again, where the result has been told. due: nobody asked for it.

    done: the answer, or why there is none. result, told: once they are there. To be made in the event loop.
    """

    what: str
    work: Callable[[], Any]
    after: Callable[[Any], str]
    last: Callable[[Any], None] | None = None
    due: bool = False
    done: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
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
