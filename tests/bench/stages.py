"""Signal chains on chunks in memory, a process each: `python -m tests.bench.stages PROGRAM SHAPE`.

SHAPE is channels, Hz and seconds: `32x250x60`. For each line that is read all chunks are taken once, and the
processor seconds of it printed. So only the work on samples in hand is compared: LSL costs all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from daemon.sources.synthetic_eeg import SimulatedHeadset
from pipeline.bundle import Bundle, shipped_bundle
from pipeline.chain import Chain
from pipeline.records import Chunk, Float32, Float64
from tests.bench.filters import ScipyLoop, mne_stream
from tests.bench.outlets import PUSH_S, electrodes
from tests.parts.machine import lsl_settings

Take = Callable[[], None]


def chunks(channels: int, rate: float, seconds: float) -> list[Chunk]:
    """As a headset sends them."""
    names = electrodes(channels)
    data = SimulatedHeadset(names, rate).next(round(seconds * rate))
    step = round(PUSH_S * rate)
    return [
        Chunk(
            data=np.ascontiguousarray(data[:, at : at + step]),
            first_sample=at,
            time=at / rate,
            time_uncertainty=0.0,
            arrived=0.0,
            channels=names,
            rate=rate,
            segment=0,
        )
        for at in range(0, data.shape[1], step)
    ]


def ours(given: Sequence[Chunk]) -> Take:
    """The whole chain, to windows."""
    settings = Bundle.load(shipped_bundle()).manifest.pipeline
    # All channels: electrodes that the shipped model does not know cost the others' programs something too.
    settings = msgspec.structs.replace(settings, montage=given[0].channels)

    def take() -> None:
        chain = Chain(settings, given[0].channels, given[0].rate)
        for chunk in given:
            chain.feed(chunk)

    return take


def scipy(given: Sequence[Chunk]) -> Take:
    loop = ScipyLoop(given[0].rate)

    def take() -> None:
        for chunk in given:
            loop.feed(chunk.data.astype(np.float64))

    return take


class _Inlet:
    """What MNE-LSL's stream pulls from, with the samples in memory."""

    def __init__(self, given: Sequence[Chunk]) -> None:
        self.n_channels = len(given[0].data)
        self._given = [
            (np.ascontiguousarray(chunk.data.T), chunk.time + np.arange(chunk.n_samples) / chunk.rate)
            for chunk in given
        ]
        self._at = 0

    def pull_chunk(self, timeout: float, max_samples: int) -> tuple[Float32, Float64]:
        data, stamps = self._given[self._at]
        self._at = (self._at + 1) % len(self._given)
        return data.copy(), stamps


def mne(given: Sequence[Chunk]) -> Take:
    """MNE-LSL's own acquisition and filters, an acquisition a chunk."""
    folder = tempfile.mkdtemp(prefix="eeg-copilot-bench-")
    # Before the library is loaded.
    os.environ["LSLAPICFG"] = str(lsl_settings(Path(folder)))
    from daemon.outlet import EegOutlet

    outlet = EegOutlet("stages", given[0].channels, given[0].rate, "stages")
    stream = mne_stream("stages", None)
    # The outlet only describes the channels; no sample comes from the network.
    stream._inlet = _Inlet(given)

    def take() -> None:
        for _ in given:
            stream.acquire()

    take()
    if stream.n_new_samples != sum(chunk.n_samples for chunk in given) or outlet.samples:
        raise RuntimeError(f"MNE-LSL took {stream.n_new_samples} samples")
    return take


PROGRAMS: dict[str, Callable[[Sequence[Chunk]], Take]] = {"ours": ours, "mne": mne, "scipy": scipy}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stages")
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("shape", help="channels x Hz x seconds")
    options = parser.parse_args()
    channels, rate, seconds = options.shape.split("x")
    try:
        take = PROGRAMS[options.program](chunks(int(channels), float(rate), float(seconds)))
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return 0
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        began = time.thread_time()
        take()
        print(json.dumps(time.thread_time() - began), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
