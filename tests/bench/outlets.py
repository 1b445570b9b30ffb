"""Many simulated headsets as real LSL outlets from one process: `python -m tests.bench.outlets`.

All play one block that was made beforehand, each from another place in it, so that the headsets cost less
than the daemon that listens to them. Prints `ready` once all can be found; on SIGTERM, or after
`--seconds`, a line of JSON: each outlet's name and the number of samples it sent.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from dataclasses import dataclass

import numpy as np

from daemon.outlet import EegOutlet
from daemon.sources.settings import TEN_TWENTY
from daemon.sources.synthetic_eeg import SimulatedHeadset
from pipeline.montage import ELECTRODES
from pipeline.records import Float32

PUSH_S = 0.04  # as wireless headsets send
_BLOCK_S = 30
_LISTENER_S = 60.0
_SPREAD_S = 2.0  # the shipped bundle's hop


@dataclass(slots=True)
class _Headset:
    outlet: EegOutlet
    at: int  # where in the block it plays
    start: float  # when its first sample is due, monotonic seconds


def electrodes(n: int) -> tuple[str, ...]:
    """The 10-20 system's nineteen first, then others of the 10-10 system."""
    others = [name for name in ELECTRODES if name not in TEN_TWENTY and name[0] not in "NIAM"]
    return (*TEN_TWENTY, *others)[:n]


def play(headsets: list[_Headset], block: Float32, rate: float, until: float, stop: threading.Event) -> None:
    """block: (n_channels, n_samples), played round and round. until: monotonic seconds."""
    step = max(1, round(PUSH_S * rate))
    length = block.shape[1] // step * step
    due = [headset.start + step / rate for headset in headsets]
    while not stop.is_set():
        now = int(np.argmin(due))
        if due[now] > until or stop.wait(max(0.0, due[now] - time.monotonic())):
            return
        headset = headsets[now]
        headset.outlet.push(block[:, headset.at : headset.at + step], due[now])
        headset.at = (headset.at + step) % length
        due[now] = headset.start + (headset.outlet.samples + step) / rate


def main() -> None:
    options = _options()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    names = electrodes(options.channels)
    block = SimulatedHeadset(names, options.rate).next(round(_BLOCK_S * options.rate))
    step = max(1, round(PUSH_S * options.rate))
    outlets = [
        EegOutlet(f"{options.prefix}{n}", names, options.rate, f"{options.prefix}{n}")
        for n in range(options.count)
    ]
    print("ready", flush=True)
    if options.wait:
        end = time.monotonic() + _LISTENER_S
        for outlet in outlets:
            outlet.wait(max(0.1, end - time.monotonic()), stop)
    begin = time.monotonic() + PUSH_S
    # People put their headsets on at different times, so that windows do not all end at once.
    spread = 0.0 if options.in_step else _SPREAD_S
    headsets = [
        _Headset(outlet, block.shape[1] * n // len(outlets) // step * step, begin + spread * n / len(outlets))
        for n, outlet in enumerate(outlets)
    ]
    print("playing", flush=True)
    play(headsets, block, options.rate, begin + (options.seconds or 1e9), stop)
    time.sleep(0.5)  # nothing tells when liblsl has handed the last samples to its sockets
    print(json.dumps({f"{options.prefix}{n}": o.samples for n, o in enumerate(outlets)}), flush=True)
    # They stay until told: an outlet that goes is an error to its listeners.
    stop.wait(_LISTENER_S)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.outlets")
    parser.add_argument("--prefix", default="bench")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--channels", type=int, default=19)
    parser.add_argument("--rate", type=float, default=250.0)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--in-step", action="store_true", help="all begin at once: the worst case")
    parser.add_argument("--wait", action="store_true", help="for a listener at every outlet")
    return parser.parse_args()


if __name__ == "__main__":
    main()
