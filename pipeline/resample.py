"""Rational resampling of a stream, block by block."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.signal import firwin, upfirdn

from pipeline.records import Float64

# Quality of the anti-aliasing filter, as in scipy.signal.resample_poly: half-length in periods of the
# lower rate, and a Kaiser window of beta 5 (about 60 dB of stop band).
_HALF_PERIODS = 10
_KAISER_BETA = 5.0
# Rates such as 249.97 Hz have no short ratio to 250; nearest fraction whose filter stays small.
_MAX_DENOMINATOR = 512


class Resampler:
    """Polyphase FIR resampler whose output does not depend on how the input is cut.

    Before the first sample the input is taken to have been constant at it, so there is no step to ring on.
    `position` tells which input an output shows, the filter's group delay allowed for.
    """

    def __init__(self, rate_in: float, rate_out: float) -> None:
        ratio = Fraction(rate_out / rate_in).limit_denominator(_MAX_DENOMINATOR)
        if rate_in <= 0 or not ratio:
            raise ValueError(f"cannot resample {rate_in} Hz to {rate_out} Hz")
        self._up, self._down = ratio.numerator, ratio.denominator
        self._identity = self._up == self._down == 1
        half = 0 if self._identity else _HALF_PERIODS * max(self._up, self._down)
        self._half = half
        if not self._identity:
            taps = firwin(2 * half + 1, 1 / max(self._up, self._down), window=("kaiser", _KAISER_BETA))
            self._taps = taps * self._up
            self._reach = -(-(2 * half + 1) // self._up)  # input samples that one output depends on
        self._held: Float64 | None = None  # input still needed
        self._held_from = 0  # number of its first sample; a multiple of `down`, negative before the start
        self._made = 0  # outputs so far

    def position(self, output: int) -> float:
        """The input sample, as a fraction, that output number `output` is centred on."""
        return (output * self._down - self._half) / self._up

    def needed(self, outputs: int) -> int:
        """How many input samples it takes to make the first `outputs`."""
        return (outputs - 1) * self._down // self._up + 1

    def feed(self, data: Float64) -> Float64:
        """data: (n_channels, n_samples). Returns the outputs that are now possible, same layout."""
        if self._identity or data.shape[1] == 0:
            return data if self._identity else data[:, :0]
        if self._held is None:
            lead = -(-self._reach // self._down) * self._down
            self._held = np.repeat(data[:, :1], lead, axis=1)
            self._held_from = -lead
        held = np.concatenate([self._held, data], axis=1)
        newest = self._held_from + held.shape[1] - 1
        wanted = ((newest + 1) * self._up - 1) // self._down + 1  # outputs whose inputs are all here
        first = self._made - self._held_from * self._up // self._down
        out = upfirdn(self._taps, held, self._up, self._down, axis=1)
        out = out[:, first : first + wanted - self._made]
        self._made = wanted
        # The next output needs `reach` samples up to its own; keep from a multiple of `down` below that.
        keep = (self._made * self._down // self._up - self._reach) // self._down * self._down
        drop = max(0, keep - self._held_from)
        self._held = held[:, drop:].copy()
        self._held_from += drop
        return np.ascontiguousarray(out)
