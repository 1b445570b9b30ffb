"""Finding the one LSL stream that is meant, and reading what its description says of its channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.sources.base import SourceLost, SourceRefused
from daemon.sources.liblsl import pylsl
from daemon.sources.settings import LslSource
from pipeline.recordings.units import is_eeg, microvolts_per

# Outlets answer within half a second on a local network; a second leaves room for a busy one.
RESOLVE_S = 1.0


@dataclass(frozen=True, slots=True)
class Channels:
    """Rows of a stream that carry a voltage, their names, µV per step, and what was assumed."""

    rows: tuple[int, ...]
    names: tuple[str, ...]
    factors: tuple[float, ...]
    warnings: tuple[str, ...]


def find(settings: LslSource) -> pylsl.StreamInfo:
    """Blocks for RESOLVE_S. Raises SourceLost where no stream matches, SourceRefused where several do."""
    wanted = {
        key: value
        for key, value in (
            ("name", settings.name),
            ("type", settings.type),
            ("source_id", settings.source_id),
        )
        if value
    }
    # Always looked for anew, and all that is there: the first answer might be one of two.
    there = pylsl.resolve_streams(RESOLVE_S)
    matching = [s for s in there if all(getattr(s, key)() == value for key, value in wanted.items())]
    meant = ", ".join(f"{key} {value!r}" for key, value in wanted.items())
    if not matching:
        raise SourceLost(f"no LSL stream with {meant}")
    signals = [s for s in matching if not _is_marker(s, settings)]
    if not signals:
        raise SourceRefused(
            f"the LSL stream with {meant} carries markers or has no sampling rate: name the stream that "
            "carries the EEG, or give its `rate`"
        )
    if len(signals) > 1:
        raise SourceRefused(_ambiguous(meant, signals))
    return signals[0]


def describe(stream: pylsl.StreamInfo) -> str:
    ids = f"name {stream.name()!r}, type {stream.type()!r}, source_id {stream.source_id()!r}"
    return f"{ids} on {stream.hostname()}"


def channels(info: pylsl.StreamInfo, settings: LslSource) -> Channels:
    """info: the full description, from the inlet. Raises SourceRefused where units or names do not fit."""
    count = int(info.channel_count())
    names = settings.channels or _column(info.get_channel_labels(), count)
    if len(names) != count:
        raise SourceRefused(f"channels names {len(names)} rows, the stream has {count}")
    names = tuple(name or f"ch{i + 1}" for i, name in enumerate(names))
    units = [settings.unit] * count if settings.unit else _column(info.get_channel_units(), count)
    types = _column(info.get_channel_types(), count)
    rows, factors, assumed = [], [], []
    for row, (name, unit, kind) in enumerate(zip(names, units, types, strict=True)):
        eeg = kind.upper() == "EEG" or is_eeg(name)
        factor = microvolts_per(unit or "")
        if unit and factor is None and eeg:
            raise SourceRefused(
                f"channel {name!r} has unit {unit!r}: set `unit` to V, mV, uV or nV for this stream"
            )
        if (unit and factor is None) or (not unit and kind and not eeg):
            continue  # triggers, accelerometers, battery
        if not unit:
            assumed.append(name)
        rows.append(row)
        factors.append(factor or 1.0)
    if not rows:
        raise SourceRefused("no channel of the stream carries a voltage")
    warnings = []
    if assumed:
        warnings.append(f"the stream does not say its unit ({len(assumed)} channels): µV assumed; set `unit`")
    return Channels(tuple(rows), tuple(names[row] for row in rows), tuple(factors), tuple(warnings))


def _is_marker(stream: pylsl.StreamInfo, settings: LslSource) -> bool:
    irregular = stream.nominal_srate() <= 0 and settings.rate is None
    return bool(stream.channel_format() == pylsl.cf_string or irregular)


def _ambiguous(meant: str, streams: Sequence[pylsl.StreamInfo]) -> str:
    ids = {s.source_id() for s in streams}
    hosts = ", ".join(sorted(s.hostname() for s in streams))
    if len(ids) == 1 and "" not in ids:
        return (
            f"{len(streams)} LSL streams have the same source_id {ids.pop()!r} (on {hosts}): stop one "
            "of them or give each its own"
        )
    found = "; ".join(sorted(describe(s) for s in streams))
    return f"{len(streams)} LSL streams match {meant}: {found}: add the source_id of the one that is meant"


def _column(values: Sequence[str | None] | None, count: int) -> tuple[str, ...]:
    """One text a channel, empty where the description has none."""
    texts = tuple((value or "").strip() for value in values or ())
    return texts if len(texts) == count else ("",) * count
