"""Files that somebody else may have put there: a pipe is not waited for, a device not read without end."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def open_plain(path: Path) -> BufferedReader:
    """For reading. Raises OSError where there is no regular file, nor a link to one."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:  # a NUL within it
        raise OSError(errno.EINVAL, "no name of a file") from None
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "not a plain file")
    return os.fdopen(number, "rb")


def read_at_most(path: Path, most: int) -> bytes | None:
    """None where it holds more than `most` bytes. Raises OSError."""
    with open_plain(path) as file:
        raw = file.read(most + 1)
    return raw if len(raw) <= most else None
