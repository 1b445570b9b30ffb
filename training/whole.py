"""Files that appear under their names only when they are whole, whatever ends the run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from training.errors import TrainingError


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """To be written within; then nothing of it is there, or all. Raises TrainingError, one line."""
    # Several processes may make the same file; each has a part of its own, and the last one stays.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except OSError as why:
        raise TrainingError(f"{path}: cannot be written: {why.strerror or why}") from None
    finally:
        with suppress(OSError):
            part.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Raises TrainingError, as `whole` does."""
    with whole(path) as out:
        out.write(content)
