"""`eeg-copilot audit verify [FILE | --config CONFIG]`"""

from __future__ import annotations

import argparse
import sqlite3
from pathlib import Path

from daemon.archive import FILE
from daemon.audit import Head, verify
from daemon.cli import DONE, FAILED
from daemon.config import load_config
from pipeline.errors import PipelineError


def run(options: argparse.Namespace) -> int:
    file = _file(options)
    try:
        verdict = verify(file, _known(options.known))
    except sqlite3.Error as why:
        raise PipelineError(f"{file}: cannot be opened: {why}") from None
    if verdict.bad is not None:
        print(f"{file}: entry {verdict.bad} is bad: {verdict.why}")
        return FAILED
    head: Head = verdict.head
    print(f"{file}: {verdict.entries} entries, all right; the newest is {head.number}:{head.hash}")
    return DONE


def _known(text: str | None) -> Head | None:
    if text is None:
        return None
    number, _, digest = text.partition(":")
    if not (number.isdecimal() and len(digest) == 64):
        raise PipelineError(f"--known {text}: must be a number, a colon and 64 hexadecimal digits")
    return Head(int(number), digest)


def _file(options: argparse.Namespace) -> Path:
    if options.file is not None:
        file = Path(options.file)
    elif options.config is not None:
        file = load_config(Path(options.config)).state_directory() / FILE
    else:
        raise PipelineError("give the file of the records, or --config CONFIG")
    file = file / FILE if file.is_dir() else file
    if not file.is_file():
        raise PipelineError(f"{file}: no such file: no record was made here")
    return file
