"""`eeg-copilot run CONFIG`"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

import structlog

from daemon.cli import DONE
from daemon.config import load_config
from daemon.errors import ConfigError
from daemon.heap import keep_small, steady
from daemon.logs import set_up_logs
from daemon.notify import notify, notify_reloading
from daemon.service import Service
from daemon.stopping import shutdown_by_signal
from pipeline.bundle import Bundle, bundle_folder
from pipeline.reader import Reader

log = structlog.get_logger("run")


def run(options: argparse.Namespace) -> int:
    steady()
    file = Path(options.config)
    config = load_config(file)
    set_up_logs(config.log.level, config.log.format)
    notify("STATUS=starting: loading the model")
    folder = bundle_folder(config.model.bundle)
    bundle = Bundle.load(folder, config.model.trusted_keys)
    service = Service(config, bundle, Reader(bundle, config.model.threads, spin=config.model.spin))
    asyncio.run(_until_told(service, file))
    return DONE


async def _until_told(service: Service, file: Path) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, _reload, service, file)
    small = asyncio.create_task(keep_small(), name="heap")
    try:
        await service.run(shutdown_by_signal())
    finally:
        small.cancel()


def _reload(service: Service, file: Path) -> None:
    notify_reloading()
    try:
        service.reload(load_config(file))
    except ConfigError as why:
        log.error("configuration refused, the old one stays", reason=str(why))
        notify(f"STATUS=configuration refused, the old one stays: {why}")
    finally:
        notify("READY=1")
