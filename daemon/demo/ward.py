"""The demo's ward: a monitor that opens at once, for the beds of the demo's node."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.errors import ConfigError
from daemon.verbs.monitor import require_extra

if TYPE_CHECKING:
    from daemon.monitor.serve import Monitor

USER = "demo"
SIGNER = "dr-demo"

# Beside the headset: three simulated people, so that the ward is one. Each stays in a state for another time.
BEDS = """\
[[signer]]
id = "dr-demo"
role = "clinician of the demo"
[[stream]]
name = "bed-2"
subject = "pseudo-demo-2"
calibration_s = {calibration}
windows = true
source = {{kind = "simulator", seed = 2, period_s = 45}}
[[stream]]
name = "bed-3"
subject = "pseudo-demo-3"
calibration_s = {calibration}
windows = true
source = {{kind = "simulator", seed = 3, states = "calm"}}
[[stream]]
name = "bed-4"
subject = "pseudo-demo-4"
calibration_s = {calibration}
windows = true
source = {{kind = "simulator", seed = 4, period_s = 30}}
"""

_CONFIG = """\
[broker]
port = {port}
sites = ["demo"]
[web]
port = 0
[state]
directory = "monitor"
"""


@contextlib.contextmanager
def ward(folder: Path, port: int, say: Callable[[str], None]) -> Iterator[tuple[Monitor, str] | None]:
    """A monitor and the demo user's password; None, and a line about it, where its packages are missing.

    port: of the broker.
    """
    try:
        require_extra()
    except ConfigError as why:
        say(f"No monitor: {why}")
        yield None
        return
    from daemon.monitor.serve import Monitor
    from daemon.monitor.settings import FILE, load_monitor_config
    from daemon.monitor.store import Store

    file = folder / "monitor.toml"
    file.write_text(_CONFIG.format(port=port))
    config = load_monitor_config(file)
    password = secrets.token_urlsafe(9)
    with Store(config.state_directory() / FILE) as store:
        store.deed(
            lambda: store.accounts.put(USER, "clinician", SIGNER, password),
            "demo",
            "account put",
            account=USER,
        )
        yield Monitor(config, store), password


def invitation(monitor: Monitor, password: str, address: str) -> str:
    """The line that opens it."""
    token = monitor.sessions.link(USER, time.monotonic())
    return (
        f"See the ward: {address}/#/once/{token}  "
        f"(opens once; later log in as {USER}, password {password}, which signing asks for too)"
    )
