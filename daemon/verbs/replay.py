"""`eeg-copilot replay FILE…`: its last line is one JSON object with the samples sent."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading

from daemon.cli import DONE
from daemon.replay import play
from daemon.verbs.board import layout


def run(options: argparse.Namespace) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
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
