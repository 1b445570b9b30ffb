"""EDF, EDF+C, EDF+D and BDF files, decoded by edfio."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from edfio import BdfSignal, EdfSignal, read_bdf, read_edf

from pipeline.errors import RecordingError
from pipeline.recordings.record import Recording, Segment
from pipeline.recordings.units import is_eeg, microvolts_per
from pipeline.records import Float32

_HEADER_BYTES = 256  # of the file, and again of each signal
_ONSET = re.compile(rb"([+-]\d+(?:\.\d+)?)(?:\x15[\d.]+)?\x14")
# Onsets are decimal text: finer than this they cannot be told from rounding.
_ONSET_TOLERANCE_S = 1e-4


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things lie in the file, from its header.

    annotations: bytes within each data record that hold the first annotation signal, if there is one.
    """

    data_at: int
    records: int
    record_bytes: int
    record_s: float
    annotations: slice | None


def read(path: Path) -> Recording:
    """Raises RecordingError, one line, where the file is damaged, truncated or not in volts."""
    raw = path.read_bytes()
    bdf = path.suffix.lower() == ".bdf"
    layout = _layout(path, raw, sample_bytes=3 if bdf else 2)
    try:
        with warnings.catch_warnings():
            # Of what edfio warns about, truncation is refused in _layout and bad scaling in _check;
            # the rest concerns dates, which are not used.
            warnings.simplefilter("ignore")
            reader = read_bdf if bdf else read_edf
            signals = reader(path, header_encoding="latin-1").signals
            for signal in signals:
                _check(path, signal)
            rate = _rate(path, signals)
            voltages = [s for s in signals if microvolts_per(s.physical_dimension)]
            chosen = [s for s in voltages if s.sampling_frequency == rate]
            data = np.stack([_microvolts(s) for s in chosen])
    except (ValueError, IndexError, UnicodeError, ZeroDivisionError) as error:
        raise RecordingError(f"{path}: damaged header, cannot be read ({error})") from error
    segments = _split(path, raw, layout, data)
    return Recording(path, tuple(s.label.strip() for s in chosen), rate, segments, start_utc=None)


def _layout(path: Path, raw: bytes, sample_bytes: int) -> _Layout:
    try:
        data_at, records = int(raw[184:192]), int(raw[236:244])
        record_s, n_signals = float(raw[244:252]), int(raw[252:256])
        labels = [raw[_HEADER_BYTES + 16 * i :][:16].decode("latin-1").strip() for i in range(n_signals)]
        # 216 bytes of other fields a signal lie before its number of samples in a data record.
        counts = [int(raw[_HEADER_BYTES + 216 * n_signals + 8 * i :][:8]) for i in range(n_signals)]
    except ValueError as error:
        raise RecordingError(f"{path}: not an EDF or BDF file, or its header is damaged") from error
    record_bytes = sample_bytes * sum(counts)
    if n_signals < 1 or record_bytes < 1 or data_at != _HEADER_BYTES * (n_signals + 1):
        raise RecordingError(f"{path}: not an EDF or BDF file, or its header is damaged")
    there, rest = divmod(len(raw) - data_at, record_bytes)
    if records == -1 and rest == 0:  # "unknown": the recorder had no time to fill it in
        records = there
    if there != records or rest:
        raise RecordingError(
            f"{path}: truncated or damaged: its header announces {records} data records "
            f"({data_at + records * record_bytes} bytes), the file has {len(raw)} bytes"
        )
    if records < 1:
        raise RecordingError(f"{path}: holds no samples")
    annotations = None
    for i, label in enumerate(labels):
        if label in ("EDF Annotations", "BDF Annotations"):
            start = sample_bytes * sum(counts[:i])
            annotations = slice(start, start + sample_bytes * counts[i])
            break
    return _Layout(data_at, records, record_bytes, record_s, annotations)


def _check(path: Path, signal: EdfSignal | BdfSignal) -> None:
    unit = signal.physical_dimension
    if microvolts_per(unit) is None:
        if is_eeg(signal.label):
            raise RecordingError(
                f"{path}: channel {signal.label!r} has unit {unit!r}: write V, mV, uV or nV into its header"
            )
        return
    if signal.physical_min == signal.physical_max or signal.digital_min >= signal.digital_max:
        raise RecordingError(
            f"{path}: channel {signal.label!r} has no valid scale (physical {signal.physical_min}.."
            f"{signal.physical_max}, digital {signal.digital_min}..{signal.digital_max}): mend the header"
        )


def _rate(path: Path, signals: tuple[EdfSignal, ...] | tuple[BdfSignal, ...]) -> float:
    """The rate of the EEG channels; of all voltages where none is named as EEG."""
    voltages = [s for s in signals if microvolts_per(s.physical_dimension)]
    if not voltages:
        raise RecordingError(f"{path}: no channel carries a voltage")
    eeg = {float(s.sampling_frequency) for s in voltages if is_eeg(s.label)}
    if len(eeg) > 1:
        raise RecordingError(
            f"{path}: its EEG channels have different rates ({', '.join(f'{r:g}' for r in sorted(eeg))} Hz): "
            "export them at one rate"
        )
    if eeg:
        return eeg.pop()
    return Counter(float(s.sampling_frequency) for s in voltages).most_common(1)[0][0]


def _microvolts(signal: EdfSignal | BdfSignal) -> Float32:
    return (signal.data * (microvolts_per(signal.physical_dimension) or 1.0)).astype(np.float32)


def _split(path: Path, raw: bytes, layout: _Layout, data: Float32) -> tuple[Segment, ...]:
    """EDF+D: a new segment wherever a data record does not start at the end of the one before."""
    if layout.annotations is None:
        return (Segment(data, 0.0),)
    onsets = []
    for record in range(layout.records):
        at = layout.data_at + record * layout.record_bytes
        found = _ONSET.match(raw[at : at + layout.record_bytes][layout.annotations])
        if found is None:
            raise RecordingError(f"{path}: damaged: data record {record} does not say when it starts")
        onsets.append(float(found[1]))
    steps = np.diff(onsets) - layout.record_s
    if np.any(steps < -_ONSET_TOLERANCE_S):
        raise RecordingError(f"{path}: damaged: its data records overlap in time")
    edges = [0, *(np.flatnonzero(steps > _ONSET_TOLERANCE_S) + 1), layout.records]
    per_record = data.shape[1] // layout.records
    return tuple(
        Segment(data[:, a * per_record : b * per_record], onsets[a] - onsets[0]) for a, b in pairwise(edges)
    )
