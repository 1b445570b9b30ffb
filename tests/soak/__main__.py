"""`python -m tests.soak`: faults upon a daemon with all real parts, and at the end an account of all."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.soak import report
from tests.soak.campaign import FAULTS, Campaign
from tests.soak.closing import close_accounts
from tests.soak.laboratory import Laboratory

# Faults side by side, each once, take this long on two quiet cores.
_SHORT_MIN = 2.0


def main() -> int:
    options = _options()
    minutes = _SHORT_MIN if options.short else options.minutes
    # Whoever ends the laboratory must not leave its parts behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="eeg-copilot-soak-") as temporary:
        folder = Path(temporary)
        try:
            with Laboratory(folder, minutes) as lab:
                campaign = Campaign(lab, options.seed)
                campaign.warm_up()
                until = time.monotonic() + 60 * minutes
                print(f"all streams are read; faults begin, seed {options.seed}", flush=True)
                if options.short:
                    campaign.together(options.faults)
                else:
                    campaign.rounds(options.faults, until)
                summary = {"minutes": minutes, "seed": options.seed} | close_accounts(lab, campaign)
                vitals = list(lab.node.vitals)
        finally:
            if options.logs is not None:
                options.logs.mkdir(parents=True, exist_ok=True)
                for log in (folder / "daemon.log", folder / "broker" / "mosquitto.log"):
                    if log.exists():
                        shutil.copy(log, options.logs)
    report.write(options.out, summary, campaign.done, vitals)
    print(options.out.with_suffix(".md").read_text())
    print(json.dumps(summary))
    return int(_failed(summary))


def _failed(summary: dict[str, Any]) -> bool:
    zeros = ("unaccounted_messages", "unaccounted_samples", "lost_drafts", "duplicates", "stale_labels")
    return any(summary[key] for key in zeros) or bool(summary["problems"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="default: %(default)g")
    parser.add_argument("--short", action="store_true", help="each fault once, as many at a time as can meet")
    parser.add_argument(
        "--faults", type=_names, default=list(FAULTS), metavar="NAME,…", help=f"of {', '.join(FAULTS)}"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the order (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/soak.json"), help="default: %(default)s")
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep daemon's and broker's there")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := sorted(set(names) - set(FAULTS)):
        raise argparse.ArgumentTypeError(f"no fault {', '.join(unknown)}: there are {', '.join(FAULTS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
