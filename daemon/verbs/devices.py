"""`eeg-copilot devices`"""

from __future__ import annotations

import argparse

from daemon.cli import DONE
from daemon.sources.discovery import Found, find_devices

_TITLES = {
    "lsl": "On the network, over LSL:",
    "serial": "At a serial port:",
    "board": "Boards that BrainFlow can drive:",
    "brainflow": "BrainFlow:",
    "simulator": "Always there:",
}


def run(options: argparse.Namespace) -> int:
    by_kind: dict[str, list[Found]] = {}
    for found in find_devices(options.wait):
        by_kind.setdefault(found.kind, []).append(found)
    for kind, title in _TITLES.items():
        if kind not in by_kind:
            if kind == "lsl":
                print(f"{title} nothing within {options.wait:g} s")
            continue
        print(title)
        for found in by_kind[kind]:
            print(f"  {found.name}: {found.detail}")
            # Dozens of boards differ in one word only: what to write is shown once.
            for line in found.how.splitlines() if kind != "board" else []:
                print(f"      {line}")
        if kind == "board":
            print('      kind = "brainflow"\n      board = "NAME"')
    print("The indented lines go under [stream.source] of the configuration.")
    return DONE
