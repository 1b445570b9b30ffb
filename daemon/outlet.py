"""An EEG stream on the local network, for what plays as if it were a headset."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from daemon.sources.liblsl import pylsl
from pipeline.records import Float32

# After the last push liblsl still has to hand the samples to its sockets; nothing tells when it has.
_LINGER_S = 0.5


class EegOutlet:
    """An LSL outlet that describes its channels. Use as a context manager: leaving it lets samples drain.

    samples: how many were sent.
    """

    def __init__(self, name: str, channels: Sequence[str], rate: float, source_id: str) -> None:
        info = pylsl.StreamInfo(name, "EEG", len(channels), rate, pylsl.cf_float32, source_id)
        info.set_channel_labels(list(channels))
        info.set_channel_types("EEG")
        info.set_channel_units("microvolts")
        self._outlet = pylsl.StreamOutlet(info)
        self.samples = 0

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Wait until somebody listens; False where nobody came. Without a listener samples go nowhere."""
        until = time.monotonic() + seconds
        while not self._outlet.have_consumers():
            if time.monotonic() >= until or stop.wait(0.02):
                return False
        return True

    def push(self, data: Float32, stamp: float) -> None:
        """data: (n_channels, n_samples), µV; stamp: of the last sample, monotonic clock, seconds."""
        self._outlet.push_chunk(data.T.copy(), stamp)
        self.samples += data.shape[1]

    def __enter__(self) -> EegOutlet:
        return self

    def __exit__(self, *_: object) -> None:
        if self.samples:
            time.sleep(_LINGER_S)
        del self._outlet
