"""`python -m tests.fuzz`: so many malformed inputs of each kind; the last line is JSON with their figures."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.campaign import fuzz
from tests.fuzz.kinds import KINDS


def main() -> int:
    options = _options()
    found: dict[str, dict[str, object]] = {}
    for name in options.kinds:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="eeg-copilot-fuzz-") as folder:
            try:
                figures = fuzz(KINDS[name], Path(folder), options.inputs, options.seed)
                found[name] = {"inputs": figures.inputs} | asdict(figures) | {"failed": ""}
            except BaseException as why:
                if isinstance(why, KeyboardInterrupt):
                    raise
                traceback.print_exc()
                found[name] = {"failed": f"{type(why).__name__}: {' '.join(str(why).split())[:300]}"}
        found[name]["seconds"] = round(time.monotonic() - began, 1)
        print(f"{name}: {found[name]}", flush=True)
    print(json.dumps(found))
    return int(any(one["failed"] for one in found.values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--kinds",
        type=lambda text: text.split(","),
        default=list(KINDS),
        metavar="KIND,…",
        help=", ".join(KINDS),
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
