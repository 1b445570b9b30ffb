"""What a killed run goes on from."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from pipeline.whole import whole
from training.errors import TrainingError

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
        """state: tensors and plain values. Keeps the last two. Raises one line where it cannot."""
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
