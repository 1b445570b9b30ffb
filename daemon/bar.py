"""Progress on a terminal; nothing elsewhere."""

from __future__ import annotations

import sys

_WIDTH = 30  # characters


def show(done: float, of: float) -> None:
    """Draws over its last drawing; ends the line once done."""
    if not sys.stderr.isatty():
        return
    share = min(1.0, done / of) if of else 1.0
    end = "\n" if share >= 1 else ""
    print(f"\r{'█' * round(share * _WIDTH):░<{_WIDTH}} {share:4.0%}", end=end, file=sys.stderr, flush=True)
