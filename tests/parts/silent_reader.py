"""Reads windows as the daemon would, for a test that watches what it asks of the network; prints how many."""

from __future__ import annotations

import time

from export.windows import random_cases
from pipeline.bundle import Bundle, shipped_bundle
from pipeline.reader import Reader

# Longer than a library would wait before it first reports home.
_SECONDS = 8.0


def main() -> None:
    bundle = Bundle.load(shipped_bundle())
    reader = Reader(bundle, threads=2)
    cases = [(case.window, case.person) for case in random_cases(bundle.manifest.pipeline, 20)]
    count, end = 0, time.monotonic() + _SECONDS
    while time.monotonic() < end:
        count += len(reader.read(cases))
        time.sleep(0.1)
    print(count)


if __name__ == "__main__":
    main()
