"""What a killed run goes on from, and folders that are there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from training.errors import TrainingError
from training.whole import whole

_KEPT = 2
_DIGITS = 16


class _Hashed:
    """A file that is hashed as it is written."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._out.write(data)

    def flush(self) -> None:
        self._out.flush()


class Checkpoints:
    """Numbered states in a folder. Each file's name ends in its hash, so that damage is seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, step: int, state: dict[str, Any]) -> None:
        """state: tensors and plain values. Keeps the last two. Raises TrainingError where it cannot."""
        part = self.folder / f"{step:08d}.new"
        try:
            with whole(part) as out:
                hashed = _Hashed(out)
                torch.save(state, cast(BinaryIO, hashed))
            part.replace(self.folder / f"{step:08d}-{hashed.sha256.hexdigest()[:_DIGITS]}.pt")
        except RuntimeError as why:
            # torch's writer reports a full disk so.
            raise TrainingError(
                f"{self.folder}: a checkpoint cannot be written: {str(why).splitlines()[0]}: make room, "
                "then run the same command again"
            ) from None
        for old in self._files()[:-_KEPT]:
            old.unlink(missing_ok=True)

    def newest(self) -> dict[str, Any] | None:
        """The last state that is whole, or None."""
        for path in reversed(self._files()):
            with path.open("rb") as file:
                told = hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
            if path.stem.endswith(f"-{told}"):
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                return state
            print(f"{path}: damaged, going on from the one before", flush=True)
        return None

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        """Oldest first."""
        return sorted(self.folder.glob("*-*.pt"))


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to be filled, which then takes the place of `folder`. Raises TrainingError, one line."""
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
        raise TrainingError(f"{folder}: cannot be written: {why.strerror or why}") from None
    except Exception as why:
        # safetensors has an error of its own for a full disk.
        if type(why).__name__ != "SafetensorError":
            raise
        raise TrainingError(f"{folder}: cannot be written: {str(why).splitlines()[0]}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
