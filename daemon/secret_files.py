"""Files that hold secrets: a systemd credential by name, or a file that nobody else may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from daemon.config_errors import one_line
from daemon.errors import ConfigError

CREDENTIAL = "credential:"
# A password or a key is a page at most; a device or a log named by mistake is refused.
_MOST_BYTES = 65536


def credential(name: str) -> Path | None:
    """The file of a credential that systemd hands to the service; None where it hands none of this name."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    file = Path(folder) / name if folder else None
    # What cannot even be looked at is there, and is refused by whoever reads it.
    return file if file is not None and (not _visible(file) or file.is_file()) else None


def place(path: str | None, folder: Path) -> str | None:
    """Where a file of the configuration is: `credential:NAME`, or a path that starts at `folder`.

    A credential that is not there keeps its name, for `check_file` to refuse.
    """
    if path is None:
        return None
    if path.startswith(CREDENTIAL):
        name = path.removeprefix(CREDENTIAL)
        found = credential(name) if name == Path(name).name else None
        return path if found is None else str(found)
    return str(folder / Path(path).expanduser())


def check_file(key: str, path: str) -> None:
    """Raises ConfigError where `path`, the value of `key`, is no file."""
    if path.startswith(CREDENTIAL):
        raise ConfigError(f"{key}: systemd hands over no {path!r}: see LoadCredential= in the unit")
    if not _visible(Path(path)):
        raise ConfigError(f"{key}: {path} cannot be read: permission denied")
    if not Path(path).is_file():
        raise ConfigError(f"{key}: {path} is not a file")


def check_private(key: str, path: str) -> None:
    """Raises ConfigError where others may read the file.

    As PostgreSQL's libpq has it: 0600, or 0640 for a file of root's, which a group hands to the service.
    systemd guards its credentials itself, and shows their access lists as group bits.
    """
    check_file(key, path)
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and Path(path).parent == Path(folder):
        return
    status = Path(path).stat()
    if stat.S_IMODE(status.st_mode) & (0o027 if status.st_uid == 0 else 0o077):
        raise ConfigError(f"{key}: others may read {path}: chmod 600 it")


def read_secret(key: str, path: str) -> str:
    """The file's text without its last line break. Raises ConfigError."""
    check_private(key, path)
    file = Path(path)
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{key}: {path} is too long for a secret")
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as why:
        raise ConfigError(f"{key}: {path} cannot be read: {one_line(str(why))}") from None


def _visible(path: Path) -> bool:
    try:
        path.is_file()
    except PermissionError:
        return False
    return True
