"""Numbers on the command line that argparse does not know by itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def between(least: int, most: int | None = None) -> Callable[[str], int]:
    """Whole numbers, both ends included; most: None for any above."""
    wanted = f"{least} to {most}" if most is not None else f"a whole number from {least} on"

    def number(text: str) -> int:
        if not (text.isdecimal() and least <= int(text) <= (int(text) if most is None else most)):
            raise argparse.ArgumentTypeError(f"must be {wanted}, got {text}")
        return int(text)

    return number


def positive(text: str) -> float:
    """Above 0 and finite."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value
