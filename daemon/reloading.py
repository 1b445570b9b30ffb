"""Which part of a changed configuration a running daemon takes over, and which waits for a restart."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct, structs

from daemon.config import Config, Stream

# Per stream: who wears the headset, and from which quality on its windows are called good.
LIVE_STREAM = ("subject", "age", "gender", "min_quality")
LIVE = ("log.level", "state.keep_sent_days")


@dataclass(frozen=True, slots=True)
class Change:
    """config: what holds from now on. taken, waiting: keys that differ, by whether they hold already."""

    config: Config
    taken: tuple[str, ...]
    waiting: tuple[str, ...]


def compare(old: Config, new: Config) -> Change:
    """What of `new` can be had without a restart."""
    tables = [field for field in Config.__struct_fields__ if field not in ("stream", "signer")]
    differing = [
        key for table in tables for key in _differing(table, getattr(old, table), getattr(new, table))
    ]
    if old.signer != new.signer:
        differing.append("signer")
    before, after = {s.name: s for s in old.stream}, {s.name: s for s in new.stream}
    for name in [*before, *(name for name in after if name not in before)]:
        if name in before and name in after:
            differing += _differing(f"stream.{name}", before[name], after[name])
        else:
            differing.append(f"stream.{name}")
    taken = tuple(key for key in differing if _live(key))
    config = structs.replace(
        old,
        log=structs.replace(old.log, level=new.log.level),
        state=structs.replace(old.state, keep_sent_days=new.state.keep_sent_days),
        stream=[_taking(stream, after.get(stream.name, stream)) for stream in old.stream],
    )
    return Change(config, taken, tuple(key for key in differing if key not in taken))


def _taking(old: Stream, new: Stream) -> Stream:
    return structs.replace(old, **{field: getattr(new, field) for field in LIVE_STREAM})


def _live(key: str) -> bool:
    return key in LIVE or (key.startswith("stream.") and key.rpartition(".")[2] in LIVE_STREAM)


def _differing(where: str, old: Struct, new: Struct) -> list[str]:
    fields = old.__struct_fields__
    return [f"{where}.{field}" for field in fields if getattr(old, field) != getattr(new, field)]
