"""liblsl, told to keep its own log to errors unless the user has configured it.

Import `pylsl` and `lib` from here, so that this comes before liblsl's first call. Raises RuntimeError where
there is no liblsl: pylsl's wheels bring it for x86-64 alone, for arm64 it is taken from MNE-LSL's.
"""

from __future__ import annotations

import contextlib
import os
from importlib import metadata
from pathlib import Path

# -2 is errors alone: every inlet would otherwise announce its sockets on stderr.
_QUIET = b"[log]\nlevel = -2\n"


def _configured() -> bool:
    """Whether liblsl will find a configuration file, in the places where it looks for one."""
    places = [Path("lsl_api.cfg"), Path("/etc/lsl_api/lsl_api.cfg")]
    with contextlib.suppress(RuntimeError):  # a user whom systemd made up for a service has no home
        places.append(Path.home() / "lsl_api" / "lsl_api.cfg")
    return "LSLAPICFG" in os.environ or any(place.is_file() for place in places)


def _borrowed() -> Path | None:
    """The liblsl in an installed mne-lsl, which is not imported: that would take all of MNE."""
    try:
        files = metadata.files("mne-lsl") or []
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.name.startswith("liblsl.so")), None)


# pylsl looks for a library of its own only where this is not set.
if "PYLSL_LIB" not in os.environ and (found := _borrowed()) is not None:
    os.environ["PYLSL_LIB"] = str(found)

import pylsl  # noqa: E402
from pylsl.lib import lib  # noqa: E402

if not _configured():
    lib.lsl_set_config_content(_QUIET)

__all__ = ["lib", "pylsl"]
