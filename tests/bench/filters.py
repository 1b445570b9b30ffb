"""One program that listens to one LSL stream and filters it: `python -m tests.bench.filters PROGRAM`.

Prints JSON: samples taken and processor seconds of the whole process while they came, connecting left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from scipy.signal import butter, iirnotch, sosfilt, sosfilt_zi, tf2sos

from pipeline.records import Float64

BAND, ORDER, MAINS, NOTCH_Q = (1.0, 45.0), 4, 50.0, 30.0
_SETTLE_S = 1.0


class ScipyLoop:
    """What a script would do: band-pass and notch on each chunk, state carried on, nothing else."""

    def __init__(self, rate: float) -> None:
        band = butter(ORDER, BAND, "bandpass", fs=rate, output="sos")
        self._sections = np.vstack([band, tf2sos(*iirnotch(MAINS, NOTCH_Q, fs=rate))])
        self._state: Float64 | None = None

    def feed(self, data: Float64) -> Float64:
        """data: (n_channels, n_samples)."""
        if self._state is None:
            self._state = sosfilt_zi(self._sections)[:, None, :] * data[None, :, :1]
        out, self._state = sosfilt(self._sections, data, axis=1, zi=self._state)
        return out


def ours(name: str) -> Callable[[], int]:
    """The daemon's source and signal chain, to windows ready for the model. Returns samples a call."""
    from daemon.sources.lsl import LslInlet
    from daemon.sources.settings import LslSource
    from pipeline.bundle import Bundle, shipped_bundle
    from pipeline.chain import Chain

    source = LslInlet(LslSource(name=name))
    info = source.open()
    settings = Bundle.load(shipped_bundle()).manifest.pipeline
    # All channels: electrodes that the shipped model does not know cost the others' programs something too.
    chain = Chain(msgspec.structs.replace(settings, montage=info.channels), info.channels, info.rate)

    def take() -> int:
        chunk = source.read(0.2)
        if chunk is None:
            return 0
        chain.feed(chunk)
        return chunk.n_samples

    return take


def mne_stream(name: str, delay: float | None) -> Any:
    """MNE-LSL's own stream and filters; delay: seconds between acquisitions, None: by `acquire` alone."""
    from mne_lsl import set_log_level
    from mne_lsl.stream import StreamLSL

    set_log_level("ERROR")
    stream = StreamLSL(bufsize=10, name=name)
    stream.connect(acquisition_delay=delay)
    stream.filter(*BAND, iir_params={"order": ORDER, "ftype": "butter", "output": "sos"})
    stream.notch_filter(MAINS)
    return stream


def mne(name: str, delay: float) -> Callable[[], int]:
    stream = mne_stream(name, delay)

    def take() -> int:
        time.sleep(0.5)  # it acquires in a thread of its own
        new = stream.n_new_samples
        stream.get_data(winsize=0.1)  # as a user would; it also begins the count anew
        return int(new)

    return take


def scipy(name: str) -> Callable[[], int]:
    import pylsl

    inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", name, timeout=10)[0], as_numpy=True)
    loop = ScipyLoop(inlet.info().nominal_srate())

    def take() -> int:
        data, stamps = inlet.pull_chunk(0.2, min_samples=1)
        if len(stamps):
            loop.feed(np.asarray(data.T, dtype=np.float64))
        return len(stamps)

    return take


PROGRAMS: dict[str, Callable[[str], Callable[[], int]]] = {
    "ours": ours,
    "mne": lambda name: mne(name, 0.001),
    # Acquiring as rarely as headsets send, which is the least that it can be made to cost.
    "mne-40ms": lambda name: mne(name, 0.04),
    "scipy": scipy,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.filters")
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("--name", default="bench0")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    try:
        take = PROGRAMS[options.program](options.name)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return 0
    settled = time.monotonic() + _SETTLE_S
    while time.monotonic() < settled:
        take()
    samples, began, end = 0, time.process_time(), time.monotonic() + options.seconds
    while time.monotonic() < end:
        samples += take()
    used = time.process_time() - began
    print(json.dumps({"samples": samples, "cpu_s": used}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
