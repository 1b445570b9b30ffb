"""Signals that look like scalp EEG of a person who is calm or under stress.

The levels at rest and their change under stress follow what was measured in 23 people at rest and in mental
arithmetic (Zyma et al., Data 4:14, 2019): less posterior theta, less alpha everywhere, less central beta,
more fast activity at forehead and temples. Blinks are a guess. The change is made plain enough to be seen:
it shows that the chain works, never how well a model does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import signal

from pipeline.positions import field, positions
from pipeline.records import Float32, Float64

# Signals are made in blocks of this many samples and handed out in any cut: the cut changes nothing.
_BLOCK = 64
# 1/f over three decades (J. O. Smith, Spectral Audio Signal Processing, appendix on 1/f noise).
_PINK_B = (0.049922035, -0.095993537, 0.050612699, -0.004408786)
_PINK_A = (1.0, -2.494956002, 2.017265875, -0.522189400)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A narrow-band generator.

    band: Hz. centre, width: of its field, head radii (x right, y front). calm, stress: RMS at the centre, µV.
    wax: how far it waxes and wanes, SD of its log amplitude; wax_s: how slowly, seconds.
    """

    band: tuple[float, float]
    centre: tuple[float, float]
    width: float
    calm: float
    stress: float
    wax: float = 0.4
    wax_s: float = 1.5


@dataclass(frozen=True, slots=True)
class SignalModel:
    """All that may be tuned. Pairs are (calm, stress)."""

    background_uv: float = 8.0  # RMS of the 1/f part
    background_corner_hz: float = 14.0  # above it the spectrum falls faster than 1/f, as measured EEG does
    background_width: float = 0.35  # how far neighbouring electrodes share it, head radii
    rhythms: tuple[Rhythm, ...] = (
        Rhythm((8.5, 11.5), (-0.35, -0.75), 0.45, calm=7.5, stress=3.4),
        Rhythm((8.5, 11.5), (0.35, -0.75), 0.45, calm=7.5, stress=3.4),
        Rhythm((8.5, 11.0), (0.0, -0.4), 0.90, calm=3.5, stress=1.6),
        Rhythm((9.0, 12.5), (-0.4, 0.0), 0.30, calm=2.0, stress=1.2),
        Rhythm((9.0, 12.5), (0.4, 0.0), 0.30, calm=2.0, stress=1.2),
        Rhythm((4.5, 7.5), (0.0, -0.6), 0.60, calm=3.4, stress=1.5),
        Rhythm((4.5, 7.0), (0.0, 0.5), 0.45, calm=2.5, stress=2.6),
        Rhythm((14.0, 22.0), (0.0, -0.1), 0.70, calm=3.2, stress=1.5),
        Rhythm((22.0, 31.0), (0.0, 0.0), 0.60, calm=1.5, stress=0.8),
        Rhythm((30.0, 44.0), (0.0, 0.0), 0.50, calm=0.9, stress=0.55),
        Rhythm((28.0, 60.0), (0.0, 0.95), 0.35, calm=0.8, stress=1.8),  # the forehead's muscle
    )
    muscle_uv: tuple[float, float] = (0.7, 2.0)  # RMS at the temples, between bursts
    muscle_hz: tuple[float, float] = (25.0, 110.0)
    blinks_per_minute: tuple[float, float] = (4.0, 16.0)
    blink_uv: float = 90.0  # peak at the forehead
    mains_uv: float = 1.5
    sensor_uv: float = 0.2  # RMS
    ramp_s: float = 1.5  # a change of state takes this long


class SimulatedHeadset:
    """A seeded, endless recording: the same parameters give the same samples, however they are fetched."""

    def __init__(
        self,
        electrodes: Sequence[str],
        rate: float,
        seed: int = 1,
        mains_hz: float = 50.0,
        states: Literal["auto", "calm", "stress"] = "auto",
        period_s: float = 30.0,
        model: SignalModel | None = None,
    ) -> None:
        self.electrodes = tuple(electrodes)
        self.rate = rate
        self._states = states
        self._period = period_s * rate  # samples
        self._model = model = model or SignalModel()
        self._mains_hz = mains_hz
        self._rng = np.random.default_rng(seed)
        self._made = 0
        self._left = np.empty((len(self.electrodes), 0), np.float32)

        at = positions(self.electrodes)
        near = ((at[:, None] - at[None]) ** 2).sum(axis=2)
        mix = np.exp(-near / (2 * model.background_width**2))
        self._mix = mix / np.sqrt((mix**2).sum(axis=1, keepdims=True))
        corner = signal.butter(1, min(model.background_corner_hz, 0.4 * rate), fs=rate, output="sos")
        pink = signal.tf2sos(_PINK_B, _PINK_A)
        self._background = _Noise(np.vstack([pink, corner]), len(at), self._rng)
        self._rhythms = [_Noise(_band(r.band, rate), 1, self._rng) for r in model.rhythms]
        self._fields = np.array([field(at, r.centre, r.width) for r in model.rhythms])
        self._waxing = [_Noise(_slow(r.wax_s, rate), 1, self._rng) for r in model.rhythms]
        low, high = model.muscle_hz
        self._muscle = _Noise(_band((low, min(high, 0.45 * rate)), rate), len(at), self._rng)
        self._muscle_bursts = _Noise(_slow(0.5, rate), 2, self._rng)  # left, right
        sides = ((-0.85, 0.1), (0.85, 0.1))
        self._muscle_fields = np.array([0.08 + field(at, side, 0.35) for side in sides])
        self._blink_field = field(at, (0.0, 1.0), 0.35)
        self._blink = _blink(rate)
        self._blinking = np.zeros(self._blink.size + _BLOCK)
        self._hum = model.mains_uv * self._rng.lognormal(0, 0.4, len(at))
        self._hum_phase = self._rng.uniform(-0.4, 0.4, len(at))

    @property
    def sample(self) -> int:
        """Number of the next sample."""
        return self._made - self._left.shape[1]

    def next(self, n: int) -> Float32:
        """The next n samples: float32 (n_electrodes, n), µV."""
        parts, there = [self._left], self._left.shape[1]
        while there < n:
            parts.append(self._make())
            there += _BLOCK
        data = np.concatenate(parts, axis=1)
        self._left = data[:, n:]
        return np.ascontiguousarray(data[:, :n])

    def state_at(self, sample: int) -> Literal["calm", "stress"]:
        """The truth: what the person is at a sample, or is changing to."""
        if self._states != "auto":
            return self._states
        return "stress" if int(sample / self._period) % 2 else "calm"

    def _level(self, samples: npt.NDArray[np.int64]) -> Float64:
        """0 (calm) to 1 (stress) at each sample, in a smooth ramp after each change."""
        if self._states != "auto":
            return np.full(samples.size, float(self._states == "stress"))
        period, within = np.divmod(samples, self._period)
        done = np.clip(within / (self._model.ramp_s * self.rate), 0, 1)
        ramp = (1 - np.cos(np.pi * done)) / 2
        # The first period has nothing to come from: it is calm from its first sample.
        return np.where(period % 2, ramp, np.where(period > 0, 1 - ramp, 0.0))

    def _make(self) -> Float32:
        model, rng = self._model, self._rng
        samples = np.arange(self._made, self._made + _BLOCK)
        level = self._level(samples)
        out = model.background_uv * (self._mix @ self._background.next())
        rhythms = np.stack([noise.next()[0] for noise in self._rhythms])
        for i, rhythm in enumerate(model.rhythms):
            amplitude = rhythm.calm + (rhythm.stress - rhythm.calm) * level
            # exp(wax·u − wax²) has a mean square of 1 for a standard normal u: the RMS stays as given.
            rhythms[i] *= amplitude * np.exp(rhythm.wax * self._waxing[i].next()[0] - rhythm.wax**2)
        out += self._fields.T @ rhythms
        calm, stress = model.muscle_uv
        bursts = np.exp(0.6 * self._muscle_bursts.next()) * (calm + (stress - calm) * level)
        out += self._muscle.next() * (self._muscle_fields.T @ bursts)
        out += np.outer(self._blink_field, self._next_blinks(level[0]))
        phase = 2 * np.pi * self._mains_hz / self.rate * samples
        out += self._hum[:, None] * np.sin(phase + self._hum_phase[:, None])
        out += model.sensor_uv * rng.standard_normal(out.shape)
        self._made += _BLOCK
        return np.asarray(out, dtype=np.float32)

    def _next_blinks(self, level: float) -> Float64:
        calm, stress = self._model.blinks_per_minute
        chance = (calm + (stress - calm) * level) / 60 * _BLOCK / self.rate
        start, size, wanted = (
            int(self._rng.integers(_BLOCK)),
            self._rng.lognormal(0, 0.25),
            self._rng.random(),
        )
        if wanted < chance and not self._blinking.any():  # nobody blinks within a blink
            self._blinking[start : start + self._blink.size] += self._model.blink_uv * size * self._blink
        now = self._blinking[:_BLOCK].copy()
        self._blinking = np.concatenate([self._blinking[_BLOCK:], np.zeros(_BLOCK)])
        return now


class _Noise:
    """Gaussian noise through a filter whose state is carried on, scaled to an RMS of 1."""

    def __init__(self, sos: Float64, n_channels: int, rng: np.random.Generator) -> None:
        impulse = np.zeros(1 << 16)
        impulse[0] = 1
        self._gain = 1 / float(np.linalg.norm(signal.sosfilt(sos, impulse)))
        self._sos = sos
        self._rng = rng
        self._state = np.zeros((len(sos), n_channels, 2))
        for _ in range(16):  # let transients die before the first sample
            self.next()

    def next(self) -> Float64:
        """float64 (n_channels, _BLOCK)."""
        white = self._rng.standard_normal((self._state.shape[1], _BLOCK))
        out, self._state = signal.sosfilt(self._sos, white, zi=self._state)
        return np.asarray(self._gain * out)


def _band(band: tuple[float, float], rate: float) -> Float64:
    low, high = min(band[0], 0.4 * rate), min(band[1], 0.45 * rate)
    return np.asarray(signal.butter(2, (low, high), "bandpass", fs=rate, output="sos"))


def _slow(seconds: float, rate: float) -> Float64:
    """A one-pole low-pass with this time constant."""
    pole = float(np.exp(-1 / (seconds * rate)))
    return np.array([[1 - pole, 0, 0, 1, -pole, 0]])


def _blink(rate: float) -> Float64:
    """A lid's quick closing and slower opening: peak 1, about 0.35 s."""
    t = np.arange(int(0.4 * rate)) / rate
    shape = t**2 * np.exp(-t / 0.05)
    shape *= np.clip((t[-1] - t) / 0.1, 0, 1)  # ends at 0 without a step
    return np.asarray(shape / shape.max())
