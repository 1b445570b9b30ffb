"""`eeg-copilot run CONFIG`"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from daemon.cli import DONE
from daemon.config import load_config
from daemon.logs import set_up_logs
from daemon.service import Service
from pipeline.bundle import Bundle, shipped_bundle
from pipeline.reader import Reader


def run(options: argparse.Namespace) -> int:
    config = load_config(Path(options.config))
    set_up_logs(config.log.level, config.log.format)
    folder = Path(config.model.bundle) if config.model.bundle else shipped_bundle()
    bundle = Bundle.load(folder, config.model.trusted_keys)
    service = Service(config, bundle, Reader(bundle, config.model.threads))
    asyncio.run(_until_told(service))
    return DONE


async def _until_told(service: Service) -> None:
    shutdown = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, shutdown.set)
    await service.run(shutdown)
