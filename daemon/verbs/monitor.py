"""`eeg-copilot monitor --config CONFIG [user ...]`"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.cli import DONE, NOTICE
from daemon.errors import CommandError, ConfigError
from daemon.logs import set_up_logs
from daemon.passwords import ask
from daemon.stopping import shutdown_by_signal

if TYPE_CHECKING:
    from daemon.monitor.serve import Monitor
    from daemon.monitor.store import Store

# What the extra brings; asked for here, so that its absence is one line and not a trace.
_NEEDED = ("starlette", "uvicorn", "argon2", "cryptography")


def run(options: argparse.Namespace) -> int:
    require_extra()
    from daemon.monitor.serve import Monitor
    from daemon.monitor.settings import FILE, load_monitor_config
    from daemon.monitor.store import Store

    config = load_monitor_config(Path(options.config))
    set_up_logs(config.log.level, config.log.format)
    with Store(config.state_directory() / FILE) as store:
        if options.what == "user":
            try:
                return _user(store, options)
            except CommandError as why:
                raise ConfigError(str(why)) from None
        if not store.accounts.all():
            raise ConfigError(
                "nobody can log in yet: eeg-copilot monitor --config "
                f"{options.config} user add NAME --role administrator"
            )
        asyncio.run(_until_told(Monitor(config, store)))
    return DONE


def require_extra() -> None:
    """Raises ConfigError where the monitor's packages are not installed."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the monitor needs {', '.join(missing)}: pip install 'eeg-emotion-copilot[monitor]'"
        )


async def _until_told(monitor: Monitor) -> None:
    await monitor.run(
        shutdown_by_signal(), lambda address: print(f"Monitor: {address}  {NOTICE}", flush=True)
    )


def _user(store: Store, options: argparse.Namespace) -> int:
    who = f"command line ({getpass.getuser()})"
    accounts = store.accounts
    match options.deed:
        case "list":
            for account in accounts.all():
                print(f"{account.name}\t{account.role}\t{account.signer or '-'}", end="")
                print("\tdisabled" if account.disabled else "")
        case "add":
            if accounts.get(options.name) is not None:
                raise CommandError(f"{options.name} is there already: see user password, user disable")
            password = ask(new=True)
            store.deed(
                lambda: accounts.put(options.name, options.role, options.signer, password),
                who,
                "account put",
                account=options.name,
                role=options.role,
                signer=options.signer,
            )
        case "password":
            password = ask(new=True)
            store.deed(
                lambda: accounts.set_password(options.name, password),
                who,
                "password set",
                account=options.name,
            )
        case _:
            off = options.deed == "disable"
            store.deed(
                lambda: accounts.disable(options.name, off),
                who,
                f"account {options.deed}d",
                account=options.name,
            )
    return DONE
