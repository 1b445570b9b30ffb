"""Files and folders that appear under their names only when they are whole, whatever ends the run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from pipeline.errors import PipelineError

T = TypeVar("T")


@contextmanager
def whole(path: Path, *, parents: bool = True) -> Iterator[BinaryIO]:
    """To be written within; then nothing of it is there, or all. Raises PipelineError, one line.

    parents: whether missing folders are made.
    """
    # Several processes may make the same file; each has a part of its own, and the last one stays.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except OSError as why:
        raise PipelineError(f"{path}: cannot be written: {why.strerror or why}") from None
    finally:
        with suppress(OSError):
            part.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Raises PipelineError, as `whole` does."""
    with whole(path) as out:
        out.write(content)


def as_json(told: object) -> bytes:
    """For people to read as well, as the content of a file."""
    return msgspec.json.format(msgspec.json.encode(told)) + b"\n"


def read_json(path: Path, kind: type[T]) -> T | None:
    """What `as_json` made of a `kind`; None where it is not there, damaged, or of something else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to be filled, which then takes the place of `folder`. Raises PipelineError, one line."""
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        for path in part.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    except OSError as why:
        raise PipelineError(f"{folder}: cannot be written: {why.strerror or why}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
