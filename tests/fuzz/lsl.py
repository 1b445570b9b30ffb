"""What an outlet of a stranger may say of itself: the XML that liblsl passes on as it came."""

from __future__ import annotations

import ctypes
import uuid
from pathlib import Path

from daemon.sources import lsl_streams
from daemon.sources.base import SourceRefused
from daemon.sources.liblsl import lib, pylsl
from daemon.sources.settings import LslSource

REFUSAL = SourceRefused
lib.lsl_streaminfo_from_xml.restype = ctypes.c_void_p
lib.lsl_streaminfo_from_xml.argtypes = [ctypes.c_char_p]


def examples(folder: Path) -> list[bytes]:
    found = []
    for labels, unit, kind in (
        (["Fp1", "Fp2", "TRIG"], "microvolts", "EEG"),
        (["A1", "x", "y"], "mV", ""),
        (["", "", ""], "", "misc"),
    ):
        info = pylsl.StreamInfo("headset", "EEG", 3, 250.0, pylsl.cf_float32, "source-1")
        info.set_channel_labels(labels)
        info.set_channel_units(unit or "")
        info.set_channel_types(kind or "")
        # Outlets give their streams an id; liblsl takes no description without one.
        found.append(info.as_xml().replace("<uid></uid>", f"<uid>{uuid.UUID(int=len(found))}</uid>").encode())
    return found


def describe_and_check(raw: bytes) -> None:
    """Raises SourceRefused; what is taken has to be usable as a stream."""
    handle = lib.lsl_streaminfo_from_xml(raw.replace(b"\0", b" "))
    if not handle:
        raise SourceRefused("liblsl does not take it")
    info = pylsl.StreamInfo(handle=handle)
    line = lsl_streams.describe(info)
    assert len(line.splitlines()) == 1, line
    found = lsl_streams.channels(info, LslSource(name="headset"))
    assert len(found.rows) == len(found.names) == len(found.factors) > 0
    assert len(set(found.rows)) == len(found.rows)
    assert min(found.rows) >= 0 and max(found.rows) < info.channel_count()
    for text in (*found.names, *found.warnings):
        assert len(text.splitlines()) == 1 and text.isprintable(), repr(text)
