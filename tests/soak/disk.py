"""A small disk of the daemon's own that can be filled: a tmpfs, or else a limit on files."""

from __future__ import annotations

import resource
import subprocess
from contextlib import suppress
from pathlib import Path

_PIECE = bytes(1 << 16)


class Disk:
    """note: what stands in for a disk that fills up, where that had to be something else."""

    def __init__(self, folder: Path, mib: int) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=700", "tmpfs", str(folder)]
        self._mounted = subprocess.run(mount, capture_output=True).returncode == 0
        self._ballast = folder / "ballast"
        self._limited: int | None = None
        self.note = "" if self._mounted else "disk-full by RLIMIT_FSIZE: a tmpfs takes root to mount"

    def fill(self, pid: int | None) -> None:
        """pid: the daemon's."""
        if self._mounted:
            # Somebody else writes there too: what is free is known only when nothing more fits.
            with self._ballast.open("wb", buffering=0) as out, suppress(OSError):
                while True:
                    out.write(_PIECE)
        elif pid is not None:
            self._limited = pid
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)
        if self._limited is not None and Path(f"/proc/{self._limited}").exists():
            resource.prlimit(self._limited, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        self._limited = None

    def close(self) -> None:
        if self._mounted:
            # Lazily: whoever still holds a file there must not keep the laboratory from ending.
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
