"""Whole recordings of every kind, to be damaged, and what holds for each that is taken."""

from __future__ import annotations

import struct
from pathlib import Path

import edfio
import numpy as np

from pipeline.errors import RecordingError
from pipeline.recordings import BoardLayout, open_recording

LAYOUT = BoardLayout("cyton", rows=5, eeg=(1, 2), names=("Fp1", "Fp2"), rate=250, time=4, counter=0)
_RNG = np.random.default_rng(7)
_WAVE = 50 * _RNG.standard_normal(500)  # 2 s at 250 Hz, µV

_HEADER = """Brain Vision Data Exchange Header File Version 1.0
[Common Infos]
Codepage=UTF-8
DataFile=a.eeg
MarkerFile=a.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels=3
SamplingInterval=4000
[Binary Infos]
BinaryFormat=INT_16
[Channel Infos]
Ch1=Fp1,,0.5,µV
Ch2=Fp2,Cz,,mV
Ch3=Temp,,1,C
"""
_MARKERS = """BrainVision Data Exchange Marker File, Version 1.0
[Marker Infos]
Mk1=New Segment,,1,1,0,20240501235959000000
Mk2=Stimulus,S  1,30,1,0
Mk3=New Segment,,51,1,0,20240502000011500000
"""


def edf(folder: Path) -> list[bytes]:
    """EDF, EDF+C and EDF+D."""
    path = folder / "seed.edf"
    signals = [_signal(edfio.EdfSignal, "Fp1"), _signal(edfio.EdfSignal, "EEG O1", "mV")]
    edfio.Edf(signals).write(path)
    plain = path.read_bytes()
    edfio.Edf(signals, annotations=[edfio.EdfAnnotation(1, None, "x")], data_record_duration=1).write(path)
    plus = path.read_bytes()
    return [plain, plus, plus.replace(b"EDF+C", b"EDF+D").replace(b"+1\x14\x14", b"+7\x14\x14")]


def bdf(folder: Path) -> list[bytes]:
    path = folder / "seed.bdf"
    edfio.Bdf([_signal(edfio.BdfSignal, "Fp1"), _signal(edfio.BdfSignal, "Cz")]).write(path)
    return [path.read_bytes()]


def xdf(folder: Path) -> list[bytes]:
    """An EEG stream with clock offsets, and a stream of markers; also one without stamps of its own."""
    return [_xdf(stamped=True), _xdf(stamped=False)]


def csv(folder: Path) -> list[bytes]:
    numbers = np.delete(np.arange(300), slice(100, 120))
    columns = np.array([numbers % 256, numbers, numbers, 0 * numbers, 1.7e9 + numbers / 250]).T
    return ["\n".join("\t".join(f"{v:.6f}" for v in row) for row in columns).encode() + b"\n"]


def brainvision(folder: Path) -> list[bytes]:
    """The header; samples and markers lie beside it, whole."""
    _RNG.integers(-3000, 3000, (100, 3)).astype("<i2").tofile(folder / "a.eeg")
    (folder / "a.vmrk").write_text(_MARKERS, "utf-8")
    return [_HEADER.encode()]


def markers(folder: Path) -> list[bytes]:
    """The markers of a BrainVision recording; header and samples lie beside them, whole."""
    brainvision(folder)
    (folder / "m.vhdr").write_text(_HEADER.replace("a.vmrk", "m.vmrk"), "utf-8")
    return [_MARKERS.encode()]


def open_and_check(path: Path) -> None:
    """Raises RecordingError where it is refused; what is taken has to be usable as a stream."""
    recording = open_recording(path, LAYOUT)
    assert np.isfinite(recording.rate) and recording.rate > 0, recording.rate
    assert recording.channels and recording.segments
    at = 0.0
    for segment in recording.segments:
        assert segment.data.dtype == np.float32
        assert segment.data.shape[0] == len(recording.channels) and segment.n_samples > 0
        assert np.isfinite(segment.start) and segment.start >= at - 1 / recording.rate
        at = segment.start + segment.n_samples / recording.rate


REFUSAL = RecordingError


def _signal(kind: type, label: str, unit: str = "uV") -> object:
    return kind(_WAVE, 250, label=label, physical_dimension=unit, physical_range=(-400, 400))


def _xdf(*, stamped: bool) -> bytes:
    """XDF 1.0, github.com/sccn/xdf/wiki/Specifications."""
    names = "".join(
        f"<channel><label>{name}</label><unit>microvolts</unit><type>EEG</type></channel>"
        for name in ("Fp1", "Cz")
    )
    eeg = (
        "<info><name>amp</name><type>EEG</type><channel_count>2</channel_count><nominal_srate>250</nominal_srate>"
        f"<channel_format>float32</channel_format><source_id>a</source_id><desc><channels>{names}</channels></desc>"
        "</info>"
    )
    events = (
        "<info><name>m</name><type>Markers</type><channel_count>1</channel_count><nominal_srate>0</nominal_srate>"
        "<channel_format>string</channel_format></info>"
    )
    out = b"XDF:" + _chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>")
    out += _chunk(2, struct.pack("<I", 1) + eeg.encode()) + _chunk(2, struct.pack("<I", 2) + events.encode())
    for block in range(4):
        rows = b"".join(
            (b"\x08" + struct.pack("<d", 100 + block + n / 250) if stamped or (block == n == 0) else b"\0")
            + struct.pack("<2f", n, -n)
            for n in range(100)
        )
        out += _chunk(3, struct.pack("<I", 1) + b"\x01" + bytes([100]) + rows)
        out += _chunk(4, struct.pack("<Idd", 1, 100 + block, 0.5))
    out += _chunk(3, struct.pack("<I", 2) + b"\x01\x01\x08" + struct.pack("<d", 101) + b"\x01\x02hi")
    footer = b"<info><first_timestamp>100</first_timestamp><sample_count>400</sample_count></info>"
    return out + _chunk(6, struct.pack("<I", 1) + footer)


def _chunk(tag: int, content: bytes) -> bytes:
    body = struct.pack("<H", tag) + content
    return b"\x04" + struct.pack("<I", len(body)) + body
