"""BrainVision recordings: .vhdr (header), .eeg (samples), .vmrk (markers); core format 1.0."""

from __future__ import annotations

import configparser
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.errors import RecordingError
from pipeline.recordings.record import Recording, Segment
from pipeline.recordings.units import is_eeg, microvolts_per
from pipeline.records import Float32

_FORMATS = {"INT_16": "<i2", "FLOAT_32": "<f4"}


def read(path: Path) -> Recording:
    """path: the .vhdr file. Raises RecordingError, one line."""
    header = _ini(path)
    try:
        common = header["Common Infos"]
        n_channels = int(common["NumberOfChannels"])
        rate = 1e6 / float(common["SamplingInterval"])  # the interval is in µs
        number_format = header["Binary Infos"]["BinaryFormat"].strip().upper()
        orientation = common.get("DataOrientation", "MULTIPLEXED").strip().upper()
        rows = [_channel(path, header["Channel Infos"][f"Ch{i + 1}"]) for i in range(n_channels)]
        data_file = path.parent / common["DataFile"].replace("$b", path.stem)
        marker_name = common.get("MarkerFile", "").replace("$b", path.stem)
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise RecordingError(f"{path}: damaged header: {error} is missing or wrong") from error
    if number_format not in _FORMATS or orientation not in ("MULTIPLEXED", "VECTORIZED"):
        raise RecordingError(
            f"{path}: {number_format}, {orientation} is not supported: export as INT_16, MULTIPLEXED"
        )
    raw = _samples(data_file, _FORMATS[number_format], n_channels, orientation == "VECTORIZED")
    if "DataPoints" in common and common["DataPoints"].strip() not in ("", "0", str(raw.shape[1])):
        raise RecordingError(
            f"{data_file}: truncated: {raw.shape[1]} samples, its header announces {common['DataPoints']}"
        )
    chosen = [(i, name, factor) for i, (name, factor) in enumerate(rows) if factor is not None]
    if not chosen:
        raise RecordingError(f"{path}: no channel carries a voltage")
    scale = np.array([factor for _, _, factor in chosen], dtype=np.float64)[:, None]
    data = (raw[[i for i, _, _ in chosen]] * scale).astype(np.float32)
    segments = _split(data, rate, path.parent / marker_name if marker_name else None)
    return Recording(path, tuple(name for _, name, _ in chosen), rate, segments, start_utc=None)


def _ini(path: Path) -> configparser.ConfigParser:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")  # what older recorders write
    first, _, rest = text.lstrip("\ufeff").partition("\n")
    if not first.startswith(("Brain Vision", "BrainVision")):
        raise RecordingError(f"{path}: not a BrainVision file")
    # What follows [Comment] is free text and may hold anything.
    rest = rest.partition("[Comment]")[0]
    parser = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=(";",), interpolation=None, strict=False, allow_no_value=True
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(rest)
    except configparser.Error as error:
        raise RecordingError(f"{path}: damaged: {str(error).splitlines()[0]}") from error
    return parser


def _channel(path: Path, line: str) -> tuple[str, float | None]:
    """Name, and µV a step or None for what carries no voltage. A line is `name,reference,step,unit`."""
    name, _, resolution, unit = (*line.split(","), "", "", "")[:4]
    name, unit = name.replace("\\1", ",").strip(), unit.strip() or "µV"  # µV is the format's default
    factor = microvolts_per(unit)
    if factor is None:
        if is_eeg(name):
            raise RecordingError(f"{path}: channel {name!r} has unit {unit!r}: write V, mV, µV or nV")
        return name, None
    return name, factor * float(resolution.strip() or 1.0)


def _samples(path: Path, number_format: str, n_channels: int, vectorized: bool) -> Float32:
    dtype = np.dtype(number_format)
    size = path.stat().st_size
    if size == 0 or size % (n_channels * dtype.itemsize):
        raise RecordingError(f"{path}: truncated: {size} bytes are not a whole number of samples")
    values = np.fromfile(path, dtype)
    table = values.reshape(n_channels, -1) if vectorized else values.reshape(-1, n_channels).T
    return np.asarray(table, dtype=np.float32)


def _split(data: Float32, rate: float, markers: Path | None) -> tuple[Segment, ...]:
    """`New Segment` markers say where recording was paused, and mostly when it went on."""
    begins: dict[int, datetime | None] = {0: None}
    if markers is not None and markers.is_file():
        for line in _ini(markers)["Marker Infos"].values():
            kind, _, position, *rest = (*(line or "").split(","), "", "")
            if kind == "New Segment" and position.strip().isdigit():
                at = int(position) - 1  # positions count from 1
                if 0 <= at < data.shape[1]:
                    begins[at] = _date(rest[2] if len(rest) > 2 else "")
    segments, end = [], 0.0
    for a, b in pairwise([*sorted(begins), data.shape[1]]):
        began, zero = begins[a], begins[0]
        # Where a date is missing, or the recorder's clock was set back, no pause is known of.
        start = max(end, (began - zero).total_seconds()) if began and zero else end
        segments.append(Segment(data[:, a:b], start))
        end = start + (b - a) / rate
    return tuple(segments)


def _date(text: str) -> datetime | None:
    try:
        return datetime.strptime(text.strip(), "%Y%m%d%H%M%S%f")
    except ValueError:
        return None
