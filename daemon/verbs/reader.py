"""`eeg-copilot reader --config CONFIG | --broker HOST[:PORT]`"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from daemon.cli import DONE
from daemon.fleet.settings import ReaderConfig, at_broker, load_reader_config
from daemon.fleet.worker import Worker
from daemon.logs import set_up_logs
from daemon.notify import notify
from pipeline.bundle import Bundle, bundle_folder
from pipeline.reader import Reader


def run(options: argparse.Namespace) -> int:
    config = _config(options)
    set_up_logs(config.log.level, config.log.format)
    notify("STATUS=starting: loading the model")
    model = config.model
    bundle = Bundle.load(bundle_folder(model.bundle), model.trusted_keys)
    asyncio.run(_until_told(Worker(config, bundle, Reader(bundle, model.threads))))
    return DONE


def _config(options: argparse.Namespace) -> ReaderConfig:
    if options.config is not None:
        return load_reader_config(Path(options.config))
    return at_broker(options.broker, options.site, options.name, options.bundle, options.threads)


async def _until_told(worker: Worker) -> None:
    shutdown = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, shutdown.set)
    await worker.run(shutdown)
