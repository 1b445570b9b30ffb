"""A headset as an LSL outlet that can be killed, hung and doubled: `python -m tests.soak.outlet`.

Channel 0 carries each sample's number, the others simulated EEG. How many samples were handed to liblsl
stands in a mapped file, so that it is known even where the process was killed. An outlet that was held up
sends what is overdue at once, with the stamps that it would have had.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
from pathlib import Path

import numpy as np

from daemon.outlet import EegOutlet
from daemon.sources.settings import TEN_TWENTY
from daemon.sources.synthetic_eeg import SimulatedHeadset

PUSH_S = 0.04  # as wireless headsets send
_BLOCK_S = 60.0


def main() -> None:
    options = _options()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    names, rate = TEN_TWENTY[: options.channels], options.rate
    step = round(PUSH_S * rate)
    # One block, played round and round: the outlet is to cost less than the daemon that listens to it.
    block = SimulatedHeadset(names, rate, seed=options.seed).next(round(_BLOCK_S * rate / step) * step)
    sent = np.memmap(options.tally, np.int64, "w+", shape=(1,))
    with EegOutlet(options.name, names, rate, options.source_id) as outlet:
        print("ready", flush=True)
        begin = time.monotonic()
        while not stop.wait(max(0.0, begin + (outlet.samples + step) / rate - time.monotonic())):
            at = outlet.samples % block.shape[1]
            data = block[:, at : at + step].copy()
            data[0] = options.first + outlet.samples + np.arange(step)
            outlet.push(data, begin + (outlet.samples + step) / rate)
            sent[0] = outlet.samples


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.outlet")
    parser.add_argument("--name", required=True)
    parser.add_argument("--source-id", required=True)
    parser.add_argument("--channels", type=int, default=19)
    parser.add_argument("--rate", type=float, default=250.0)
    parser.add_argument("--first", type=int, default=0, help="number of the first sample")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--tally", type=Path, required=True, help="file for the number of samples sent, int64"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
