"""What a `[[stream]]` may say about where its samples come from: one struct a kind of source."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from pipeline.montage import canonical

TEN_TWENTY: tuple[str, ...] = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8"),
    *("P7", "P3", "Pz", "P4", "P8", "O1", "O2"),
)  # fmt: skip


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    """Common to all sources.

    stall_s: a stream that falls silent for this long is closed and sought again, seconds.
    """

    stall_s: float = 2.0

    def __post_init__(self) -> None:
        _positive("stall_s", self.stall_s)


class LslSource(_Settings, frozen=True, tag="lsl", kw_only=True):
    """A stream on the local network. All that is given of name, type and source_id must match.

    channels: names for the stream's rows, in order, where it has none or wrong ones.
    rate: the true sampling rate where the stream's nominal one lies, Hz.
    unit: unit of the samples where the stream does not say it.
    """

    name: str | None = None
    type: str | None = None
    source_id: str | None = None
    channels: tuple[str, ...] | None = None
    rate: float | None = None
    unit: Literal["V", "mV", "uV", "nV"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.name or self.type or self.source_id):
            raise ValueError("needs at least one of name, type and source_id")
        if self.rate is not None:
            _positive("rate", self.rate)


class BrainFlowSource(_Settings, frozen=True, tag="brainflow", kw_only=True):
    """A board that BrainFlow drives.

    board: name as in BrainFlow's BoardIds without `_BOARD`, in any case (`cyton`, `muse_2`), or its number.
    master_board: for `playback_file` and `streaming`, the board that recorded.
    file, loop: for `playback_file`, what to play, and whether to start over at its end.
    channels: names for the board's EEG rows, in order.
    timeout_s: how long to look for the device, seconds.
    Others: as in BrainFlow's documentation of the board.
    """

    board: str | int
    serial_port: str = ""
    mac_address: str = ""
    ip_address: str = ""
    ip_port: int = 0
    ip_protocol: Literal["", "udp", "tcp"] = ""
    serial_number: str = ""
    other_info: str = ""
    file: str = ""
    loop: bool = False
    master_board: str | int | None = None
    timeout_s: int = 15
    channels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive("timeout_s", self.timeout_s)


class RecordingSource(_Settings, frozen=True, tag="recording", kw_only=True):
    """Recordings played one after the other.

    speed: 1 is real time, 2 twice as fast; 0 as fast as they are taken.
    board: the board that wrote a BrainFlow csv, as in `BrainFlowSource`.
    """

    files: tuple[str, ...]
    speed: float = 1.0
    loop: bool = False
    board: str | int | None = None
    channels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.files:
            raise ValueError("files must name at least one recording")
        if not (math.isfinite(self.speed) and self.speed >= 0):
            raise ValueError("speed must be 0 (as fast as possible) or more")


class SimulatorSource(_Settings, frozen=True, tag="simulator", kw_only=True):
    """A headset that is not there.

    electrodes: names, one a channel. rate: Hz. mains_hz: frequency of the hum, Hz.
    states: `auto` alternates between calm and stress every period_s seconds, calm first.
    """

    electrodes: tuple[str, ...] = TEN_TWENTY
    rate: float = 250.0
    seed: int = 1
    mains_hz: float = 50.0
    states: Literal["auto", "calm", "stress"] = "auto"
    period_s: float = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive("rate", self.rate)
        _positive("period_s", self.period_s)
        for name in self.electrodes:
            if canonical(name) is None:
                raise ValueError(f"electrodes: {name!r} is not an electrode of the 10-05 system")
        if not self.electrodes:
            raise ValueError("electrodes must name at least one")


SourceSettings = LslSource | BrainFlowSource | RecordingSource | SimulatorSource


def _positive(key: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{key} must be above 0")
