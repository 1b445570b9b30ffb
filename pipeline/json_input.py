"""JSON from outside: nothing we take is nested deeply, and code that walks through it must not be drowned."""

from __future__ import annotations

from typing import Any

import msgspec

MOST_DEPTH = 16


def decode_json(payload: bytes) -> Any:
    """Raises ValueError, in one line, where it is not JSON or nested too deeply."""
    try:
        raw = msgspec.json.decode(payload)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as why:
        raise ValueError(" ".join(str(why).split())[:200]) from None
    level = [raw]
    for _ in range(MOST_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return raw
    raise ValueError(f"nested more than {MOST_DEPTH} levels deep")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
