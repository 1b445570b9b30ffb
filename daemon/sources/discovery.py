"""What there is to listen to, and how to say so in the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daemon.sources.liblsl import pylsl
from daemon.sources.lsl_streams import describe

# USB adapters of OpenBCI, FreeEEG and their kin; the names under by-id outlive replugging.
_PORTS = ("serial/by-id/*", "ttyUSB*", "ttyACM*")


@dataclass(frozen=True, slots=True)
class Found:
    """One thing to listen to. detail: one line for people. how: TOML lines of a `[stream.source]` table."""

    kind: str
    name: str
    detail: str
    how: str


def find_devices(wait_s: float = 1.0) -> list[Found]:
    """Blocks for wait_s. What is not plugged in is listed too, where BrainFlow can drive it."""
    return [*lsl_found(wait_s), *_serial_found(), *_boards_found(), _simulator()]


def lsl_found(wait_s: float) -> list[Found]:
    found = []
    for stream in pylsl.resolve_streams(wait_s):
        rate = stream.nominal_srate()
        lines = ['kind = "lsl"', f"name = {_quoted(stream.name())}"]
        if stream.source_id():
            lines.append(f"source_id = {_quoted(stream.source_id())}")
        if stream.channel_format() == pylsl.cf_string or rate <= 0:
            lines = ["# carries markers or has no sampling rate: not EEG"]
        found.append(
            Found(
                "lsl",
                stream.name(),
                f"{describe(stream)}, {stream.channel_count()} channels at {rate:g} Hz",
                "\n".join(lines),
            )
        )
    return sorted(found, key=lambda one: one.detail)


def _serial_found() -> list[Found]:
    found: dict[Path, Found] = {}
    for pattern in _PORTS:
        for port in sorted(Path("/dev").glob(pattern)):
            how = f'kind = "brainflow"\nboard = "cyton"  # or what is behind it\nserial_port = "{port}"'
            # One device is known under several names: the first found is the steadiest.
            found.setdefault(port.resolve(), Found("serial", str(port), "a serial port", how))
    return list(found.values())


def _boards_found() -> list[Found]:
    try:
        from daemon.sources.brainflow_import import board_layout, board_names
    except (ImportError, OSError) as error:  # its libraries exist for few machines
        return [Found("brainflow", "BrainFlow", f"cannot be loaded here: {error}", "")]
    from daemon.sources.base import SourceRefused

    found = []
    for name in board_names():
        try:
            layout = board_layout(name)
        except SourceRefused:
            continue  # no EEG, or a stand-in for other boards
        detail = f"{len(layout.eeg)} EEG channels at {layout.rate:g} Hz"
        found.append(Found("board", name, detail, f'kind = "brainflow"\nboard = "{name}"'))
    return found


def _simulator() -> Found:
    return Found("simulator", "simulator", "19 simulated electrodes at 250 Hz", 'kind = "simulator"')


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
