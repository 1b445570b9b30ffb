"""A simulated headset as an LSL stream, in a process of its own: `python -m daemon.headset`.

Prints JSON lines: one when the stream can be found, one whenever the simulated person's state changes,
and a last one with the number of samples sent.
"""

from __future__ import annotations

import argparse
import json
import threading
import time

from daemon.outlet import EegOutlet
from daemon.sources.pace import Pacer
from daemon.sources.settings import TEN_TWENTY
from daemon.sources.synthetic_eeg import SimulatedHeadset
from daemon.stopping import stop_by_signal

_BLOCK_S = 0.04  # as wireless headsets send


def stream(
    headset: SimulatedHeadset,
    name: str,
    source_id: str,
    seconds: float | None,
    wait_s: float,
    stop: threading.Event,
) -> int:
    """Blocks for `seconds`, for ever if None, or until `stop` is set. Returns the number of samples sent."""
    block = max(1, int(_BLOCK_S * headset.rate))
    end = None if seconds is None else headset.sample + round(seconds * headset.rate)
    state = None
    with EegOutlet(name, headset.electrodes, headset.rate, source_id) as outlet:
        _print(stream=name, source_id=source_id, rate=headset.rate, channels=headset.electrodes)
        if wait_s:
            outlet.wait(wait_s, stop)
        pacer = Pacer(headset.rate)
        while end is None or headset.sample < end:
            n = block if end is None else min(block, end - headset.sample)
            if not pacer.wait(n, float("inf"), stop):
                break
            if headset.state_at(headset.sample) != state:
                state = headset.state_at(headset.sample)
                _print(state=state, sample=headset.sample, at=time.time())
            outlet.push(headset.next(n), pacer.take(n))
    return outlet.samples


def main(argv: list[str] | None = None) -> int:
    options = _options().parse_args(argv)
    stop = stop_by_signal()
    headset = SimulatedHeadset(
        options.electrodes.split(","),
        options.rate,
        options.seed,
        options.mains_hz,
        options.states,
        options.period,
    )
    source_id = options.source_id or f"eeg-copilot-{options.name}"
    _print(samples=stream(headset, options.name, source_id, options.seconds, options.wait, stop))
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m daemon.headset", description=__doc__)
    parser.add_argument(
        "--name", default="simulated-headset", help="of the LSL stream (default: %(default)s)"
    )
    parser.add_argument("--source-id", help="of the LSL stream (default: made from its name)")
    parser.add_argument("--rate", type=float, default=250.0, help="Hz (default: %(default)s)")
    parser.add_argument(
        "--electrodes", default=",".join(TEN_TWENTY), help="separated by commas (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same samples")
    parser.add_argument(
        "--mains-hz", type=float, default=50.0, help="frequency of the hum (default: %(default)s)"
    )
    parser.add_argument("--states", choices=("auto", "calm", "stress"), default="auto")
    parser.add_argument(
        "--period", type=float, default=30.0, help="seconds in each state, calm first (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, help="end by itself after this long")
    parser.add_argument(
        "--wait", type=float, default=0.0, help="wait this long for a listener before beginning"
    )
    return parser


def _print(**values: object) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
