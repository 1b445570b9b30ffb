"""Words on the command line and about it."""

from __future__ import annotations

import argparse


def utc(text: str) -> float:
    """ISO 8601 to seconds since the Unix epoch; UTC where no zone is named."""
    # Late, so that `--help` is quick.
    from daemon.messages import unix

    try:
        return unix(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"must be like 2026-01-31T12:00:00Z, got {text}") from None


def sentence(told: str) -> str:
    """A verb's line in a list, as the description on its own page."""
    return told[0].upper() + told[1:] + "."
