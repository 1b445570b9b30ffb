"""What a bundle fixes about the signal chain: the model was trained on it and fits no other."""

from __future__ import annotations

import hashlib
import json

import msgspec

# The chain's stages and the version of each algorithm. A change of behaviour, however small, raises the
# number: bundles trained before it are then refused instead of being read wrongly.
STAGES: dict[str, int] = {
    "montage": 1,
    "sanitise": 1,
    "resample": 1,
    "filter": 1,
    "quality": 1,
    "reference": 1,
    "window": 1,
    "compress": 1,
    "calibrate": 1,
    "prompt": 1,
}


class PipelineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Frequencies in Hz, durations in seconds."""

    montage: tuple[str, ...]
    """Electrodes the model knows, canonical names, in the order of the prompt's lines."""
    min_channels: int = 4
    """Fewer good electrodes than this: the window is not read."""
    rate: float = 250.0
    """At 250 Hz the dyadic wavelet levels fall on the classical EEG bands."""
    highpass: float = 1.0
    lowpass: float = 45.0
    filter_order: int = 4
    warmup: float = 4.0
    """Discarded at the start of each segment, while the filters settle."""
    window: float = 10.0
    hop: float = 2.0
    compression: str = "w50-energy"
    calibration: float = 60.0
    """Rest at the start of a sitting that each later window is compared with."""

    def fingerprint(self) -> str:
        """sha256 over these settings and the versions of the stages they steer."""
        told = {"settings": msgspec.to_builtins(self), "stages": STAGES}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
