"""Made-up people whose EEG changes with what they see, in ways that are written down here.

The effects are changes of log-power in a band over a part of the head, from half as much again to somewhat
more than double. That is more than emotions do to measured EEG: each shall be found on 24 people where, with
clips held out, of some emotions a single clip is left to learn from. The signals are shaped noise: they have
spectra, fields and amplitudes of scalp EEG, and nothing else of it.
"""

from __future__ import annotations

import hashlib

import numpy as np
from scipy import signal

from pipeline.positions import field, positions
from pipeline.records import Float32, Float64
from training.corpora import clips
from training.corpora.faced import RATE
from training.corpora.settings import Simulated

# Hz, edges as the wavelet levels have them.
BANDS: dict[str, tuple[float, float]] = {
    "delta": (1, 4),
    "theta": (4, 8),
    "alpha": (8, 16),
    "beta": (16, 31),
    "gamma": (31, 62),
}
# Centre (x right, y front) and width in head radii.
PLACES: dict[str, tuple[tuple[float, float], float]] = {
    "left front": ((-0.4, 0.5), 0.35),
    "right front": ((0.4, 0.5), 0.35),
    "midline front": ((0.0, 0.4), 0.35),
    "centre": ((0.0, 0.0), 0.40),
    "left temple": ((-0.75, 0.0), 0.35),
    "right temple": ((0.75, 0.0), 0.35),
    "back": ((0.0, -0.75), 0.45),
}
Effect = tuple[str, str, float]
"""Band, place, and change of log-power at the place's centre, in nepers of power: 0.5 is 65 % more."""

_UNPLEASANT: tuple[Effect, ...] = (("alpha", "right front", -0.60), ("beta", "right temple", 0.55))
_PLEASANT: tuple[Effect, ...] = (("alpha", "left front", -0.60), ("gamma", "left temple", 0.55))
EFFECTS: dict[str, tuple[Effect, ...]] = {
    "neutral": (),
    "anger": (*_UNPLEASANT, ("beta", "centre", 0.55)),
    "disgust": (*_UNPLEASANT, ("beta", "centre", 0.55)),
    "fear": (*_UNPLEASANT, ("alpha", "back", -0.80), ("theta", "midline front", 0.55)),
    "sadness": (*_UNPLEASANT, ("alpha", "back", 0.60), ("delta", "midline front", 0.55)),
    "amusement": (*_PLEASANT, ("gamma", "right temple", 0.65)),
    "joy": (*_PLEASANT, ("gamma", "right temple", 0.65)),
    "inspiration": (*_PLEASANT, ("theta", "midline front", 0.80), ("beta", "back", 0.55)),
    "tenderness": (*_PLEASANT, ("alpha", "back", 0.80), ("alpha", "centre", 0.40)),
}
IDENTICAL: tuple[tuple[str, str], ...] = (("anger", "disgust"), ("amusement", "joy"))

# Standard deviations, nepers of power, of each band at each place.
CLIP_SD = 0.06
TRIAL_SD = 0.12
PERSON_SD = 0.30
RESPONSE_SD = 0.30  # of the log of how strongly a person responds
# How far amplitudes wax and wane (SD of their log), and how slowly, seconds.
_WAX, _WAX_S = 0.3, 1.5


def _draw(*what: object) -> np.random.Generator:
    """A generator for each thing that is drawn: nothing depends on what was drawn before."""
    return np.random.default_rng(list(hashlib.sha256(repr(what).encode()).digest()))


def _effects(rng: np.random.Generator, sd: float) -> list[Effect]:
    return [(band, place, float(rng.normal(0, sd))) for band in BANDS for place in PLACES]


class Individual:
    """One made-up person: µV and Hz, of the size of scalp EEG in young adults at rest."""

    def __init__(self, settings: Simulated, number: int) -> None:
        self._settings, self._number = settings, number
        rng = _draw(settings.seed, "person", number)
        self.gender = "F" if rng.random() < 0.6 else "M"
        self.age = int(rng.integers(18, 36))
        self._background = 9.0 * rng.lognormal(0, 0.2)
        self._slope = rng.normal(1.0, 0.15)  # of power over frequency
        self._alpha_hz = rng.normal(10.2, 0.8)
        self._alpha_uv = 7.0 * rng.lognormal(0, 0.4)
        self._alpha_at = (rng.normal(0, 0.15), rng.normal(-0.7, 0.1))
        self._response = rng.lognormal(0, RESPONSE_SD)
        self._own = _effects(rng, PERSON_SD)
        self._gain = rng.lognormal(0, 0.1, len(clips.CHANNELS))  # skull and gel
        self._at = positions(clips.CHANNELS)
        # Fewer sources than electrodes: neighbours share most of what they see, as scalp EEG does.
        near = ((self._at[:, None] - self._at[None, ::2]) ** 2).sum(axis=2)
        mix = np.exp(-near / (2 * rng.uniform(0.28, 0.40) ** 2))
        self._mix = mix / np.sqrt((mix**2).sum(axis=1, keepdims=True))
        self._blinks_per_s = rng.uniform(4, 16) / 60

    def clips(self) -> Float32:
        """float32 (28, 32, samples), µV; the references last, and near silent."""
        n = round(self._settings.seconds * RATE)
        out = np.empty((len(clips.EMOTIONS), len(clips.CHANNELS) + clips.N_REFERENCES, n), np.float32)
        for row, emotion in enumerate(clips.EMOTIONS):
            rng = _draw(self._settings.seed, "trial", self._number, row)
            effects = [
                *self._own,
                *((band, place, size * self._response) for band, place, size in EFFECTS[emotion]),
                *_effects(_draw(self._settings.seed, "clip", row), CLIP_SD),
                *_effects(rng, TRIAL_SD),
            ]
            out[row, : len(clips.CHANNELS)] = self._scalp(effects, n, rng)
            out[row, len(clips.CHANNELS) :] = rng.normal(0, 0.5, (clips.N_REFERENCES, n))
        return out

    def _scalp(self, effects: list[Effect], n: int, rng: np.random.Generator) -> Float64:
        """(n_channels, n): background in five bands and alpha, each waxing and waning; blinks; noise."""
        change = {band: np.zeros(len(self._at)) for band in BANDS}
        for band, place, size in effects:
            change[band] += size * field(self._at, *PLACES[place])
        # Made longer than needed: the spectrum's periodicity would join a clip's end to its start.
        longer = n + round(2 * RATE)
        hz = np.fft.rfftfreq(longer, 1 / RATE)
        shape = np.where(hz >= 0.5, np.maximum(hz, 0.5) ** (-self._slope / 2), 0)
        # Measured EEG falls faster than 1/f above some 14 Hz.
        shape /= np.sqrt(1 + (hz / 14) ** 2)
        shape *= self._background / np.sqrt((shape**2).sum())
        out = np.zeros((len(self._at), longer))
        for band, (low, high) in BANDS.items():
            low = 0.5 if band == "delta" else low
            high = RATE / 2 if band == "gamma" else high
            part = shape * ((hz >= low) & (hz < high))
            n_sources = self._mix.shape[1]
            sources = _noise(part, n_sources, longer, rng) * _waxing(n_sources, longer, rng)
            gain = np.exp(change[band] / 2)[:, None] * self._mix
            # Not by BLAS, whose last bits depend on its threads.
            out += np.einsum("es,sn->en", gain, sources)
        peak = np.exp(-((hz - self._alpha_hz) ** 2) / (2 * 1.0**2))
        peak *= self._alpha_uv / np.sqrt((peak**2).sum())
        for x in (-0.3, 0.3):
            centre = (self._alpha_at[0] + x, self._alpha_at[1])
            wave = _noise(peak, 1, longer, rng) * _waxing(1, longer, rng)
            out += (np.exp(change["alpha"] / 2) * field(self._at, centre, 0.5))[:, None] * wave
        out *= self._gain[:, None]
        out += rng.normal(0, 0.3, out.shape)
        out = out[:, -n:]
        return out + np.outer(field(self._at, (0.0, 1.0), 0.3), self._blinks(n, rng))

    def _blinks(self, n: int, rng: np.random.Generator) -> Float64:
        t = np.arange(round(0.4 * RATE)) / RATE
        lid = t**2 * np.exp(-t / 0.05)
        begin = rng.random(n) < self._blinks_per_s / RATE
        size = 80 * rng.lognormal(0, 0.2, n)
        return np.asarray(np.convolve(begin * size, lid / lid.max())[:n])


def _noise(amplitude: Float64, rows: int, n: int, rng: np.random.Generator) -> Float64:
    """(rows, n): Gaussian noise whose spectrum has this shape; its mean square is the sum of squares."""
    there = np.flatnonzero(amplitude)
    z = np.zeros((rows, len(amplitude)), np.complex128)
    drawn = rng.standard_normal((2, rows, len(there)))
    z[:, there] = (drawn[0] + 1j * drawn[1]) * amplitude[there] * (n / 2)
    return np.asarray(np.fft.irfft(z, n=n, axis=1))


def _waxing(rows: int, n: int, rng: np.random.Generator) -> Float64:
    """(rows, n): slow changes of amplitude over some seconds, mean square about 1."""
    step = round(_WAX_S / 4 * RATE)
    knots = n // step + 2
    pole = float(np.exp(-1 / 4))
    white = rng.standard_normal((rows, knots)) * np.sqrt(1 - pole**2)
    slow = signal.lfilter([1.0], [1.0, -pole], white, axis=1)
    at, part = np.divmod(np.arange(n) / step, 1)
    left = at.astype(int)
    between = slow[:, left] * (1 - part) + slow[:, left + 1] * part
    return np.asarray(np.exp(_WAX * between - _WAX**2))
