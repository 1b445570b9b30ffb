"""Files that appear under their names only when they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import PipelineError


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """To be written within. Raises PipelineError, one line; then nothing of it is there."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except OSError as why:
        raise PipelineError(f"{path}: cannot be written: {why.strerror or why}") from None
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Raises PipelineError, as `whole` does."""
    with whole(path) as out:
        out.write(content)
