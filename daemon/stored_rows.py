"""A message as SQLite gives it back. SQLite keeps no check sums: what nobody wrote there must not go out."""

from __future__ import annotations

from typing import Any

from daemon.outbox_file import AGAIN, MOST_ID, REFUSED, WAITING
from daemon.rows import Keep, Row

COLUMNS = "id,created,topic,payload,qos,retain,keep,expiry_s,correlation,tries,state"
"""What `read` takes and `written` gives, in this order."""

# What no topic of ours holds: wildcards, which nobody may publish to, and bytes that were no UTF-8.
_FOREIGN = set("+#\0\ufffd")


def read(found: tuple[Any, ...]) -> Row:
    """Raises ValueError where a column holds what was never written there."""
    row_id, created, topic, payload, qos, retain, keep, expiry_s, correlation, tries, state = found
    right = (
        0 < row_id <= MOST_ID
        and isinstance(created, float | int)
        and isinstance(topic, str)
        and topic
        and not _FOREIGN & set(topic)
        and isinstance(payload, bytes)
        and qos in (0, 1, 2)
        and retain in (0, 1)
        and isinstance(expiry_s, float | int | None)
        and isinstance(correlation, bytes | None)
        and isinstance(tries, int)
        and tries >= 0
    )
    if not right:
        raise ValueError(f"message {row_id} is damaged")
    again = state == AGAIN
    return Row(
        row_id, created, topic, payload, qos, bool(retain), Keep(keep), expiry_s, correlation, tries, again
    )


def written(row: Row) -> tuple[object, ...]:
    state = REFUSED if row.tries else WAITING
    about = (row.id, row.created, row.topic, row.payload, row.qos, int(row.retain), int(row.keep))
    return (*about, row.expiry_s, row.correlation, row.tries, state)
