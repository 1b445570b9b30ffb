"""`eeg-copilot replay FILE…`: its last line is one JSON object with the samples sent."""

from __future__ import annotations

import argparse
import json
import sys

from daemon.cli import DONE
from daemon.replay import play
from daemon.stopping import stop_by_signal
from daemon.verbs.board import layout


def run(options: argparse.Namespace) -> int:
    stop = stop_by_signal()
    samples = play(
        options.files,
        options.name,
        options.speed,
        options.loop,
        stop,
        options.wait,
        layout(options.board),
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(json.dumps({"samples": samples}), flush=True)
    return DONE
