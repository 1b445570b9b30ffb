"""Any recording: by the program's own readers, else by MNE where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.recordings import Recording, Segment, open_recording
from training.corpora.sitting import CorpusError

_OWN = (".edf", ".bdf", ".xdf", ".vhdr")


def read_any(path: Path) -> Recording:
    """In µV. Raises CorpusError or RecordingError, one line."""
    if not path.exists():
        raise CorpusError(f"{path}: listed, but not there")
    return open_recording(path) if path.suffix.lower() in _OWN else _by_mne(path)


def _by_mne(path: Path) -> Recording:
    try:
        import mne
    except ImportError:
        raise CorpusError(
            f"{path}: this kind of recording is read by MNE: pip install 'eeg-emotion-copilot[mne]'"
        ) from None
    try:
        raw: Any = mne.io.read_raw(path, preload=False, verbose="ERROR")
        eeg = mne.pick_types(raw.info, eeg=True, exclude=())
        if not len(eeg):
            raise CorpusError(f"{path}: no channel is marked as EEG")
        data = raw.get_data(picks=eeg)
    except CorpusError:
        raise
    # Each of MNE's readers complains in its own way.
    except Exception as why:
        told = (str(why).splitlines() or [type(why).__name__])[0]
        raise CorpusError(f"{path}: MNE cannot read it: {told}") from None
    # MNE keeps volts.
    segments = (Segment((data * 1e6).astype(np.float32), 0.0),)
    names = tuple(raw.ch_names[i] for i in eeg)
    return Recording(path, names, float(raw.info["sfreq"]), segments, start_utc=None)


def cut(recording: Recording, start: float, end: float, lead: float) -> tuple[Recording, float]:
    """A piece of a recording, and at which of its seconds `start` lies.

    start, end, lead: seconds; the piece begins up to `lead` seconds earlier, for filters to settle on, and is
    one stretch without gaps. Raises CorpusError where samples are missing between start and end.
    """
    eps = 0.5 / recording.rate
    for segment in recording.segments:
        last = segment.start + segment.n_samples / recording.rate
        if segment.start - eps <= start and end <= last + eps:
            begin = max(segment.start, start - lead)
            lo = round((begin - segment.start) * recording.rate)
            hi = round((end - segment.start) * recording.rate)
            data = segment.data[:, lo:hi]
            piece = Recording(
                recording.path, recording.channels, recording.rate, (Segment(data, 0.0),), start_utc=None
            )
            return piece, start - begin
    raise CorpusError(
        f"{recording.path}: {start:g} s to {end:g} s: it has no samples there, or lost some in between"
    )
