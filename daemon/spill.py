"""Messages in memory while the disk takes none: few, bounded, and written as soon as it does again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from daemon.rows import Keep, Row

# Some half an hour of one headset's readings; more would not fit a small machine with many headsets.
MOST_ROWS = 2000
MOST_BYTES = 16 * 2**20


class Spill:
    """Rows by id, in order. Full: the oldest reading goes first, then the oldest state or episode; records
    stay. forget: told of each row that goes."""

    def __init__(self, forget: Callable[[Row], None]) -> None:
        self._rows: dict[int, Row] = {}
        self._bytes = 0
        self._forget = forget

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row_id: int) -> bool:
        return row_id in self._rows

    def __iter__(self) -> Iterator[Row]:
        return iter(list(self._rows.values()))

    def put(self, row: Row) -> None:
        self._rows[row.id] = row
        self._bytes += len(row.payload)
        while len(self._rows) > MOST_ROWS or self._bytes > MOST_BYTES:
            victim = self._oldest(Keep.WHILE_FRESH, Keep.WHILE_ROOM) or self._oldest(Keep.LONG)
            if victim is None:
                return
            self.pop(victim.id)
            self._forget(victim)

    def pop(self, row_id: int) -> Row:
        row = self._rows.pop(row_id)
        self._bytes -= len(row.payload)
        return row

    def after(self, row_id: int, most: int) -> list[Row]:
        return [row for row in self._rows.values() if row.id > row_id and not row.tries][:most]

    def refuse(self, row_id: int) -> None:
        """Kept for the disk to take; not offered again from here."""
        row = self._rows[row_id]
        self._rows[row_id] = replace(row, tries=row.tries + 1)

    def shift(self, step: float) -> None:
        """UTC was set by so many seconds: these are as old as they were."""
        self._rows = {i: replace(row, created=row.created + step) for i, row in self._rows.items()}

    def by_topic(self) -> Counter[str]:
        return Counter(row.topic for row in self._rows.values())

    def _oldest(self, *kinds: Keep) -> Row | None:
        return next((row for row in self._rows.values() if row.keep in kinds), None)
