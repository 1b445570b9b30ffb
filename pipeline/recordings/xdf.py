"""XDF files, decoded by pyxdf: the one EEG stream in them, in segments."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyxdf

from pipeline.errors import RecordingError
from pipeline.recordings.record import Recording, Segment
from pipeline.recordings.units import is_eeg, microvolts_per
from pipeline.recordings.xdf_chunks import whole_bytes
from pipeline.records import Float64

# pyxdf reports each oddity it works around; the ones that matter are checked here.
logging.getLogger("pyxdf.pyxdf").addHandler(logging.NullHandler())

EVENTS = "eeg-copilot-events"
"""Type of the stream in which our own recorder notes segments, labels and what befell the source."""

# As in the live chain: shorter losses cannot be told from jitter, seconds.
_GAP_S = 0.1
# Stamps are compared over this long on both sides of a jump, seconds: a burst that was held up is no gap.
_LOOK_S = 1.0


def read(path: Path) -> Recording:
    """Raises RecordingError, one line, where there is not exactly one EEG stream.

    A file that breaks off, since its recorder was killed, is read up to its last whole chunk.
    """
    raw = path.read_bytes()
    end = whole_bytes(raw)
    try:
        # Stamps are synchronised and left as they are: smoothing would smear gaps.
        streams, header = pyxdf.load_xdf(io.BytesIO(raw[:end]), dejitter_timestamps=False)
    except Exception as error:  # pyxdf lets whatever a damaged file causes through
        raise RecordingError(f"{path}: damaged, or not an XDF file ({error})") from error
    stream = _choose(path, streams)
    stamps = np.asarray(stream["time_stamps"], dtype=np.float64)
    announced = _first((stream.get("footer") or {}).get("info"), "sample_count")
    # Some writers announce one sample too few; too many are missing from the file.
    if announced and not (announced.isdigit() and int(announced) <= stamps.size):
        raise RecordingError(f"{path}: truncated: {stamps.size} samples, its end announces {announced}")
    rate = float(stream["info"]["nominal_srate"][0])
    rows, names, factors, assumed = _channels(path, stream["info"])
    # What is not finite stays so, and is found where signals are judged.
    with np.errstate(over="ignore", invalid="ignore"):
        data = (np.asarray(stream["time_series"]).T[rows] * np.array(factors)[:, None]).astype(np.float32)
    starts = _noted(streams, stamps.size, rate)
    if not starts:
        starts = {at: float(stamps[at] - stamps[0]) for at in [0, *_breaks(stamps, rate)]}
    segments, ended = [], 0.0
    for a, b in pairwise([*starts, stamps.size]):
        start = max(ended, starts[a])  # clock resets may set stamps back
        segments.append(Segment(data[:, a:b], start))
        ended = start + (b - a) / rate
    warnings = ["the file does not say its unit: µV assumed"] if assumed else []
    if not announced:
        warnings.append(f"the file breaks off: read up to its last whole chunk, {stamps.size} samples")
    start_utc = _exact_start(stream["info"], stamps) or _start(header)
    return Recording(path, tuple(names), rate, tuple(segments), start_utc, tuple(warnings))


def _choose(path: Path, streams: list[dict[str, Any]]) -> dict[str, Any]:
    regular = [
        s
        for s in streams
        if float(s["info"]["nominal_srate"][0]) > 0 and s["info"]["channel_format"][0] != "string"
    ]
    eeg = [s for s in regular if _first(s["info"], "type").upper() == "EEG"] or regular
    eeg = [s for s in eeg if len(s["time_stamps"])]
    if len(eeg) != 1:
        names = ", ".join(repr(_first(s["info"], "name")) for s in eeg)
        found = f"{len(eeg)} EEG streams ({names})" if eeg else "no EEG stream with samples"
        raise RecordingError(f"{path}: holds {found}: export exactly one")
    return eeg[0]


def _channels(path: Path, info: Mapping[str, Any]) -> tuple[list[int], list[str], list[float], bool]:
    """Rows with a voltage, their names, µV a step, and whether a unit had to be assumed."""
    count = int(info["channel_count"][0])
    described = _described(info)
    if len(described) != count:
        described = [{}] * count
    rows, names, factors, assumed = [], [], [], False
    for row, channel in enumerate(described):
        name = _first(channel, "label") or f"ch{row + 1}"
        kind, unit = _first(channel, "type").upper(), _first(channel, "unit")
        factor = microvolts_per(unit) if unit else 1.0
        if factor is None and (kind == "EEG" or is_eeg(name)):
            raise RecordingError(f"{path}: channel {name!r} has unit {unit!r}: V, mV, uV and nV are known")
        if factor is None or (not unit and kind not in ("", "EEG")):
            continue  # triggers, accelerometers, battery
        assumed = assumed or not unit
        rows.append(row)
        names.append(name)
        factors.append(factor)
    if not rows:
        raise RecordingError(f"{path}: no channel carries a voltage")
    return rows, names, factors, assumed


def _described(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The <channel> elements; pyxdf gives each element as a list, empty ones as None."""
    for key in ("desc", "channels"):
        found = (info.get(key) or [None])[0]
        if not isinstance(found, Mapping):
            return []
        info = found
    return [c if isinstance(c, dict) else {} for c in info.get("channel") or []]


def _first(element: object, key: str) -> str:
    values = element.get(key) if isinstance(element, Mapping) else None
    return str(values[0]).strip() if isinstance(values, list) and values and values[0] is not None else ""


def _breaks(stamps: Float64, rate: float) -> list[int]:
    """Samples before which others are missing, or the clock was set back."""
    residuals = stamps - np.arange(stamps.size) / rate
    jumps = [0, *(np.flatnonzero(np.abs(np.diff(residuals)) > _GAP_S) + 1), stamps.size]
    look = max(1, int(_LOOK_S * rate))
    found = []
    for before, at, after in zip(jumps, jumps[1:], jumps[2:], strict=False):
        left = np.median(residuals[max(before, at - look) : at])
        right = np.median(residuals[at : min(after, at + look)])
        if abs(right - left) > _GAP_S:
            found.append(int(at))
    return found


def _noted(streams: list[dict[str, Any]], n_samples: int, rate: float) -> dict[int, float]:
    """Where segments begin, seconds since the first sample, by sample; empty where nobody noted it.

    Our own recorder notes it to the sample, gaps too short for stamps to show included.
    """
    starts: dict[int, float] = {}
    first = None
    for stream in streams:
        if _first(stream["info"], "type") != EVENTS:
            continue
        for (text,) in stream["time_series"]:
            try:
                told = json.loads(text)
                if told["event"] != "segment":
                    continue
                at, number = int(told["sample"]), int(told["first_sample"])
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                return {}
            first = number if first is None else first
            if at < n_samples and at > max(starts, default=-1):
                starts[at] = (number - first) / rate
    return starts if 0 in starts else {}


def _exact_start(info: Mapping[str, Any], stamps: Float64) -> float | None:
    """UTC of the first sample where our own recorder wrote how far its clock is from UTC."""
    for key in ("desc", "clock"):
        found = (info.get(key) or [None])[0]
        if not isinstance(found, Mapping):
            return None
        info = found
    try:
        start = float(_first(info, "utc_offset")) + float(stamps[0])
    except ValueError:
        return None
    return start if np.isfinite(start) else None


def _start(header: Mapping[str, Any]) -> float | None:
    """When the file was begun, where it says so with its zone: within seconds of the first sample."""
    text = _first(header.get("info"), "datetime")
    try:
        began = datetime.fromisoformat(text)
    except ValueError:
        return None
    return began.timestamp() if began.tzinfo is not None else None
