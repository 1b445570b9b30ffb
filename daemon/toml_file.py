"""A TOML file as a record, or one line about why not."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from daemon.config_errors import explain, one_line
from daemon.errors import ConfigError

T = TypeVar("T")


def load_toml(path: Path, kind: type[T], finish: Callable[[T, Path], T]) -> T:
    """The file as the struct `kind`. finish: is given it with the file's folder, resolves paths and checks.

    Raises ConfigError: one line with the file, the key's path, what was wrong, what is allowed.
    """
    raw = _plain(path)
    try:
        return finish(msgspec.convert(raw, kind), path.resolve().parent)
    except msgspec.ValidationError as why:
        raise ConfigError(f"{path}: {explain(why, raw, kind)}") from None
    except ConfigError as why:
        raise ConfigError(f"{path}: {why}") from None


def _plain(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file: give the path of a TOML configuration") from None
    except OSError as why:
        raise ConfigError(f"{path}: cannot be read: {why.strerror}") from None
    except ValueError as why:  # no TOML, no UTF-8, or a number of thousands of digits
        raise ConfigError(f"{path}: not a TOML file: {one_line(str(why))}") from None
    except RecursionError:
        raise ConfigError(f"{path}: not a TOML file: nested too deeply") from None
