"""Where recordings go, and how much of them there may be."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Recording(Struct, frozen=True, forbid_unknown_fields=True):
    """directory: None is `recordings` in the state directory. rotate_min, rotate_mib: a new file after so
    many minutes or MiB. max_gib: of all recordings there. min_free_mib: left on the disk for everything else.
    """

    directory: str | None = None
    rotate_min: Annotated[float, Meta(gt=0, le=1440)] = 60.0
    rotate_mib: Annotated[float, Meta(gt=0, le=4096)] = 256.0
    max_gib: Annotated[float, Meta(gt=0, le=100_000)] = 20.0
    min_free_mib: Annotated[float, Meta(ge=0, le=1_000_000)] = 1024.0
