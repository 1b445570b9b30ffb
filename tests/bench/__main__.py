"""`python -m tests.bench`: one command, one table; JSON, Markdown and a chart beside it."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback
from pathlib import Path

from tests.bench import chart
from tests.bench.report import Report
from tests.parts.machine import describe

# In this order: what needs a quiet machine most comes first.
PARTS = ("live", "label", "chain", "model", "draft", "capacity", "ward")


def main() -> int:
    options = _options()
    machine, report, failed = describe(), Report(), False
    if machine["load_before"] > 0.5:
        print(f"this machine is busy (load {machine['load_before']}): timings will not mean much", flush=True)
    for name in options.only or PARTS:
        began = time.monotonic()
        print(f"{name} ...", flush=True)
        try:
            importlib.import_module(f"tests.bench.{name}").run(report, quick=options.quick)
        except Exception as error:  # what the others find is not to be lost
            traceback.print_exc()
            report.miss(name, f"failed: {' '.join(str(error).split()) or type(error).__name__}")
            failed = True
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
        # After each part, so that a run that is cut off has told what it knew.
        report.write(options.out, {**machine, "quick": int(options.quick)})
        chart.write(options.out.with_suffix(".svg"), report.charts)
    print(report.text(machine))
    print(f"\n{options.out}, {options.out.with_suffix('.md')}, {options.out.with_suffix('.svg')}")
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"), help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean little")
    parser.add_argument("--only", type=_parts, metavar="PART,…", help=f"of {', '.join(PARTS)}")
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    names = text.split(",")
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {', '.join(unknown)}: there are {', '.join(PARTS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
