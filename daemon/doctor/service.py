"""The service as systemd sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from daemon.doctor.finding import Finding, ask

OLDEST = 252


def look_at_service(unit: str) -> Iterator[Finding]:
    if not Path("/run/systemd/system").is_dir():
        yield Finding(
            "service", "unseen", "systemd does not run here: whoever starts the daemon watches over it"
        )
        return
    version = (ask("systemctl", "--version") or "systemd 0").split()[1]
    if int(version) < OLDEST:
        yield Finding("systemd", "bad", f"{version}, at least {OLDEST} is needed", "apt install systemd")
    text = ask(
        "systemctl", "show", unit, "-p", "LoadState,ActiveState,StatusText,Result,NRestarts,UnitFileState"
    )
    state = dict(line.partition("=")[::2] for line in (text or "").splitlines())
    if state.get("LoadState") != "loaded":
        yield Finding("service", "warning", f"{unit} is not installed", "make install-service")
        return
    told, active = state.get("StatusText", ""), state.get("ActiveState", "")
    logs = f"journalctl -u {unit} -n 30"
    if active == "failed":
        yield Finding("service", "bad", f"{unit} has failed: {told or state.get('Result')}", logs)
    elif active == "inactive":
        yield Finding("service", "warning", f"{unit} does not run", f"systemctl enable --now {unit}")
    else:
        yield Finding("service", "good", f"{unit} is {active}: {told}")
        if state.get("UnitFileState") == "disabled":
            detail = f"{unit} will not come back after a reboot"
            yield Finding("service-boot", "warning", detail, f"systemctl enable {unit}")
    if int(state.get("NRestarts", 0) or 0):
        detail = f"{unit} was restarted {state['NRestarts']} times since it was last started by hand"
        yield Finding("service-restarts", "warning", detail, logs)
