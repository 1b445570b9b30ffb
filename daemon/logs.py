"""Logs: readable lines on a terminal, fields under systemd, one JSON object a line into a file."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Literal

import structlog

from daemon.journal import journal_loggers, record
from daemon.notify import under_journal

Format = Literal["auto", "text", "json", "journal"]


def set_up_logs(level: str = "info", form: Format = "auto") -> None:
    """Sends everything, the libraries' own warnings included, to standard error in one form."""
    journal = form == "journal" or (form == "auto" and under_journal())
    text = form == "text" or (form == "auto" and not journal and sys.stderr.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if text else "iso", utc=not text),
    ]
    last: structlog.typing.Processor
    factory: Callable[..., object] = structlog.PrintLoggerFactory(sys.stderr)
    if journal:
        # journald stamps the time itself.
        shared[-1:] = [structlog.processors.format_exc_info]
        last, factory = record, journal_loggers()
    elif text:
        last = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"), pad_event_to=0
        )
    else:
        shared += [structlog.processors.format_exc_info]
        last = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )
    # MQTT and asyncio speak through the standard library's logging.
    logging.basicConfig(handlers=[_Forward()], level=logging.WARNING, force=True)


class _Forward(logging.Handler):
    """Hands standard-library records to structlog, so that they share its form."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None)
