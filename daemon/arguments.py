"""Values on the command line that argparse does not know by itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def between(least: int, most: int) -> Callable[[str], int]:
    """Whole numbers, both ends included."""

    def number(text: str) -> int:
        if not (text.isdecimal() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"must be {least} to {most}, got {text}")
        return int(text)

    return number


def utc(text: str) -> float:
    """ISO 8601 to seconds since the Unix epoch; UTC where no zone is named."""
    # Late, so that `--help` is quick.
    from daemon.messages import unix

    try:
        return unix(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"must be like 2026-01-31T12:00:00Z, got {text}") from None


def positive(text: str) -> float:
    """Above 0 and finite."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def sentence(told: str) -> str:
    """A verb's line in a list, as the description on its own page."""
    return told[0].upper() + told[1:] + "."
