"""Units of voltage as files and streams spell them."""

from __future__ import annotations

from pipeline.montage import canonical

_PREFIXES = {
    "": 1e6,
    "m": 1e3,
    "u": 1.0,
    "µ": 1.0,
    "μ": 1.0,
    "n": 1e-3,
}  # the micro sign and the Greek letter
_WORDS = {
    "volt": 1e6,
    "volts": 1e6,
    "millivolt": 1e3,
    "millivolts": 1e3,
    "microvolt": 1.0,
    "microvolts": 1.0,
    "nanovolt": 1e-3,
    "nanovolts": 1e-3,
}


def microvolts_per(unit: str) -> float | None:
    """Factor from `unit` to µV, or None if it is no unit of voltage. `V`, `mV`, `uV`, `microvolts`, …"""
    unit = unit.strip()
    if unit.lower() in _WORDS:
        return _WORDS[unit.lower()]
    # `M` would be mega: only the V's case is free.
    if unit[-1:] in ("V", "v"):
        return _PREFIXES.get(unit[:-1].replace("U", "u"))
    return None


def is_eeg(name: str) -> bool:
    """Whether a channel claims to be EEG: then its unit must be known."""
    return name.strip().upper().startswith("EEG") or canonical(name) is not None
