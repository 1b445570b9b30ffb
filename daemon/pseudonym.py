"""What people are called here: nothing else tells them apart, and nothing tells who they are."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

# The prefix makes a name typed by mistake a refusal.
Pseudonym = Annotated[str, Meta(pattern=r"^pseudo-[A-Za-z0-9_-]{1,48}\Z")]
