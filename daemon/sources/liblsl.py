"""liblsl, told to keep its own log to errors unless the user has configured it.

Import `pylsl` and `lib` from here, so that this comes before liblsl's first call.
"""

from __future__ import annotations

import os
from pathlib import Path

import pylsl
from pylsl.lib import lib

# Where liblsl looks for its configuration, in this order.
_PLACES = (Path("lsl_api.cfg"), Path("~/lsl_api/lsl_api.cfg").expanduser(), Path("/etc/lsl_api/lsl_api.cfg"))
# -2 is errors alone: every inlet would otherwise announce its sockets on stderr.
_QUIET = b"[log]\nlevel = -2\n"

if "LSLAPICFG" not in os.environ and not any(place.is_file() for place in _PLACES):
    lib.lsl_set_config_content(_QUIET)

__all__ = ["lib", "pylsl"]
