"""The chunks of an XDF file, written and counted, after the specification of XDF 1.0.

https://github.com/sccn/xdf/wiki/Specifications. No kept Python library writes XDF; pyxdf, which reads it, is
what the tests hold these functions against. A chunk is its length, a tag and content, and stands for itself:
a file that ends anywhere is readable up to its last whole chunk.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree  # nosec # B405: writes, parses nothing

import numpy as np

from pipeline.records import Float32, Float64

MAGIC = b"XDF:"
_FILE_HEADER, _STREAM_HEADER, _SAMPLES, _CLOCK_OFFSET, _BOUNDARY, _STREAM_FOOTER = range(1, 7)
# Fewer zeros may well be the end of a sample.
_PADDING = 16
_BOUNDARY_ID = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")

Tree = Mapping[str, "str | Tree | Sequence[Tree]"]
"""Elements by name; a list where there are several of that name."""


def file_header(about: Tree) -> bytes:
    return MAGIC + _chunk(_FILE_HEADER, _xml({"version": "1.0", **about}))


def stream_header(stream: int, about: Tree) -> bytes:
    return _chunk(_STREAM_HEADER, _of(stream) + _xml(about))


def stream_footer(stream: int, first: float, last: float, samples: int) -> bytes:
    """first, last: stamps, seconds."""
    about = {"first_timestamp": repr(first), "last_timestamp": repr(last), "sample_count": str(samples)}
    return _chunk(_STREAM_FOOTER, _of(stream) + _xml(about))


def samples(stream: int, data: Float32, stamps: Float64) -> bytes:
    """data: (n_channels, n_samples); stamps: (n_samples,), seconds. Both are kept bit for bit."""
    n_channels, n = data.shape
    row = np.dtype([("size", "u1"), ("stamp", "<f8"), ("values", "<f4", (n_channels,))])
    table = np.empty(n, row)
    table["size"], table["stamp"], table["values"] = 8, stamps, data.T
    return _chunk(_SAMPLES, _of(stream) + _length(n) + table.tobytes())


def texts(stream: int, stamped: Sequence[tuple[float, str]]) -> bytes:
    """Samples of a stream of one text channel: (stamp in seconds, text)."""
    parts = [_of(stream), _length(len(stamped))]
    for stamp, text in stamped:
        encoded = text.encode("utf-8", "replace")
        parts += [struct.pack("<Bd", 8, stamp), _length(len(encoded)), encoded]
    return _chunk(_SAMPLES, b"".join(parts))


def clock_offset(stream: int, time: float, offset: float) -> bytes:
    """offset: what to add to the stream's stamps around `time` to get the recorder's clock, seconds."""
    return _chunk(_CLOCK_OFFSET, _of(stream) + struct.pack("<dd", time, offset))


def boundary() -> bytes:
    """Where a reader that met damage may begin again."""
    return _chunk(_BOUNDARY, _BOUNDARY_ID)


def whole_bytes(raw: bytes) -> int | None:
    """Bytes up to the end of the last whole chunk of a file that breaks off; None where it does not.

    A run of zeros at the end counts as nothing: a power cut may leave a file longer than what was written.
    """
    written = len(raw.rstrip(b"\0"))
    end = written if len(raw) - written >= _PADDING else len(raw)
    at = len(MAGIC)
    while at < end:
        size = raw[at]
        if size not in (1, 4, 8):
            return None  # damaged, not broken off: whoever decodes it says so
        after = at + 1 + size
        after += int.from_bytes(raw[at + 1 : after], "little")
        if after > end:
            return at
        at = after
    return None if end == len(raw) else at


def _chunk(tag: int, content: bytes) -> bytes:
    return _length(len(content) + 2) + struct.pack("<H", tag) + content


def _of(stream: int) -> bytes:
    return struct.pack("<I", stream)


def _length(number: int) -> bytes:
    return struct.pack("<BB", 1, number) if number < 256 else struct.pack("<BI", 4, number)


def _xml(about: Tree) -> bytes:
    root = ElementTree.Element("info")
    _grow(root, about)
    encoded: bytes = ElementTree.tostring(root, encoding="utf-8")  # begins with its own declaration
    return encoded


def _grow(parent: ElementTree.Element, about: Tree) -> None:
    for name, value in about.items():
        if isinstance(value, str):
            # XML has no way to write control characters, and names from the network may hold them.
            printable = "".join(c if c.isprintable() else " " for c in value)
            ElementTree.SubElement(parent, name).text = printable
            continue
        for one in [value] if isinstance(value, Mapping) else value:
            _grow(ElementTree.SubElement(parent, name), one)
