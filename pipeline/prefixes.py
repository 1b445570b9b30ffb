"""The beginnings of prompts, computed once and put back as often as they are needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from pipeline.model import Cache, Model
from pipeline.records import Float32

# Persons differ in a decade and a gender; more than this at once is a ward, and a few prefills more.
_MOST = 16


class Prefixes:
    """Sees to it that row 0 of a cache begins with the prefix that is asked for."""

    def __init__(self, model: Model, cache: Cache) -> None:
        self._model = model
        self._cache = cache
        self._saved: OrderedDict[tuple[int, ...], list[Float32]] = OrderedDict()
        self._entered: tuple[int, ...] | None = None

    def enter(self, prefix: Sequence[int]) -> bool:
        """True where the prefix was new and had to be computed."""
        key = tuple(prefix)
        if key == self._entered:
            return False
        # Whatever fails on the way, the row is not taken for what it no longer holds.
        self._entered = None
        new = key not in self._saved
        if new:
            self._model.run(self._cache, [key])
            self._saved[key] = self._cache.saved(0, len(key))
            if len(self._saved) > _MOST:
                self._saved.popitem(last=False)
        else:
            self._cache.restore(0, self._saved[key])
            self._saved.move_to_end(key)
        self._entered = key
        return new
