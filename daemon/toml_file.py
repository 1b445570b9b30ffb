"""A TOML file as plain values, or one line about why not."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from daemon.config_errors import one_line
from daemon.errors import ConfigError


def read_toml(path: Path) -> dict[str, Any]:
    """Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file: give the path of a TOML configuration") from None
    except OSError as why:
        raise ConfigError(f"{path}: cannot be read: {why.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as why:
        raise ConfigError(f"{path}: not a TOML file: {one_line(str(why))}") from None
    except RecursionError:
        raise ConfigError(f"{path}: not a TOML file: nested too deeply") from None
