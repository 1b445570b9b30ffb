"""Malformed inputs: valid ones with a few things changed, in bytes or in their structure, and mere noise."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

_EDITS = 6
# What parsers trip over: limits of number types, other types' words, deep nesting, what terminals obey.
_NUMBERS = (0, -1, 1, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32, 2**63 - 1, -(2**63))
_TEXTS = (
    *(
        "",
        " ",
        "\0",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "1e400",
        "-1",
        "0",
        "1e-320",
        "9" * 40,
        "0x10",
        "True",
        "null",
    ),
    *(
        "../../etc/passwd",
        "/dev/zero",
        "a/b",
        "+",
        "#",
        "$SYS",
        "%s%n",
        "{0}",
        "\x1b[2J\x1b]0;x\x07",
        "\r\n",
        "\n",
    ),
    *(
        "[" * 2000,
        '{"a":' * 500,
        "é" * 300,
        "\ud7ff",
        "\u202e",
        "\ufeff",
        "x" * 5000,
        "<",
        "&amp;",
        "]]>",
        "=",
        '"',
    ),
    *("1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "00.00.00", "31.02.99", "EDF+D", "+0\x14\x14\0"),
)
_VALUES: tuple[Any, ...] = (*_NUMBERS, *_TEXTS, 1.5, -0.0, 1e308, True, False, [], {}, [[]], [{}])


@st.composite
def mutated(draw: DrawFn, examples: Sequence[bytes]) -> bytes:
    """One of the examples after up to six edits of its bytes."""
    raw = bytearray(draw(st.sampled_from(examples)))
    for _ in range(draw(st.integers(1, _EDITS))):
        _edit(draw, raw, examples)
    return bytes(raw)


def _edit(draw: DrawFn, raw: bytearray, examples: Sequence[bytes]) -> None:
    at = draw(st.integers(0, len(raw)))
    span = draw(st.sampled_from((1, 2, 4, 8, 16, 80, 256, 1 << 20)))
    match draw(
        st.sampled_from(("flip", "number", "text", "digits", "cut", "drop", "repeat", "insert", "graft"))
    ):
        case "flip":
            for n in range(at, min(at + 1, len(raw))):
                raw[n] ^= 1 << draw(st.integers(0, 7))
        case "number":
            size = draw(st.sampled_from((1, 2, 4, 8)))
            order = draw(st.sampled_from(("little", "big")))
            number = draw(st.sampled_from(_NUMBERS)) % (1 << 8 * size)
            raw[at : at + size] = number.to_bytes(size, order)  # type: ignore[arg-type]
        case "text":
            text = draw(st.sampled_from(_TEXTS)).encode("utf-8", "surrogatepass")
            raw[at : at + len(text)] = text
        case "digits":  # a number in a text, such as a header's field, becomes another of the same width
            begin = next((n for n in range(at, len(raw)) if 48 <= raw[n] <= 57), len(raw))
            end = next((n for n in range(begin, len(raw)) if not 48 <= raw[n] <= 57), len(raw))
            raw[begin:end] = bytes(draw(st.integers(48, 57)) for _ in range(min(end - begin, 8)))
        case "cut":
            del raw[at:]
        case "drop":
            del raw[at : at + span]
        case "repeat":
            raw[at:at] = raw[at : at + min(span, 4096)]
        case "insert":
            raw[at:at] = draw(st.binary(max_size=40))
        case "graft":
            other = draw(st.sampled_from(examples))
            begin = draw(st.integers(0, len(other)))
            raw[at : at + span] = other[begin : begin + min(span, 4096)]


@st.composite
def reshaped(draw: DrawFn, examples: Sequence[Any], dump: Callable[[Any], bytes]) -> bytes:
    """A tree of dicts and lists after up to four changes of its nodes. dump: may raise ValueError or
    TypeError for what its format cannot say; then an example itself is taken."""
    tree = copy.deepcopy(draw(st.sampled_from(examples)))
    for _ in range(draw(st.integers(1, 4))):
        places = list(_places(tree))
        if not places:
            break
        inside, key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.sampled_from(("value", "value", "text", "number", "drop", "rename", "wrap", "graft"))):
            case "value":
                inside[key] = copy.deepcopy(draw(st.sampled_from(_VALUES)))
            case "text":
                inside[key] = draw(st.text(max_size=60))
            case "number":
                inside[key] = draw(st.integers() | st.floats())
            case "drop":
                del inside[key]
            case "rename" if isinstance(inside, dict):
                inside[draw(st.sampled_from(_TEXTS) | st.text(max_size=10))] = inside.pop(key)
            case "wrap":
                inside[key] = [inside[key]]
            case _:
                other, name = places[draw(st.integers(0, len(places) - 1))]
                inside[key] = copy.deepcopy(other[name]) if name in other or isinstance(other, list) else 0
    try:
        return dump(tree)
    except (ValueError, TypeError):
        return dump(draw(st.sampled_from(examples)))


def as_json(tree: Any) -> bytes:
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def noise() -> SearchStrategy[bytes]:
    return st.binary(max_size=2000)


def _places(tree: Any) -> Any:
    """(dict or list, key or index) of every node below the root."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(pairs):
        yield tree, key
        yield from _places(value)
