"""Logs: readable lines on a terminal, one JSON object a line under systemd or into a file."""

from __future__ import annotations

import logging
import os
import sys
from typing import Literal

import structlog

Format = Literal["auto", "text", "json"]


def set_up_logs(level: str = "info", form: Format = "auto") -> None:
    """Sends everything, the libraries' own warnings included, to standard error in one form."""
    text = form == "text" or (form == "auto" and sys.stderr.isatty() and "JOURNAL_STREAM" not in os.environ)
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if text else "iso", utc=not text),
    ]
    last: structlog.typing.Processor
    if text:
        last = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"), pad_event_to=0
        )
    else:
        shared += [structlog.processors.format_exc_info]
        last = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # MQTT and asyncio speak through the standard library's logging.
    logging.basicConfig(handlers=[_Forward()], level=logging.WARNING, force=True)


class _Forward(logging.Handler):
    """Hands standard-library records to structlog, so that they share its form."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None)
