"""Passwords of whoever sits at the command line."""

from __future__ import annotations

import getpass
import sys

from pipeline.errors import PipelineError


def ask(*, new: bool) -> str:
    """From a terminal, twice where it is `new`; else one line of standard input.

    Raises PipelineError where the two differ.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if new and getpass.getpass("Once more: ") != first:
        raise PipelineError("the two differ: nothing was changed")
    return first
