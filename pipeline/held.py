"""The newest stretch of a stream, in memory that is allocated once."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Scalar = TypeVar("Scalar", bound=np.generic)


class Held(Generic[Scalar]):
    """Samples by their number in the stream. Appending copies what is new, and now and then what is held."""

    def __init__(self, n_channels: int, room: int, dtype: type[Scalar]) -> None:
        """room: samples; more than are ever held at once, so that what is held seldom has to move."""
        self._memory: npt.NDArray[Scalar] = np.empty((n_channels, room), dtype)
        self._begin = self._end = 0  # columns of the memory that are in use
        self._first = 0  # number of the first sample still held

    @property
    def end(self) -> int:
        """Number of the sample that comes next."""
        return self._first + self._end - self._begin

    def append(self, data: npt.NDArray[Scalar]) -> None:
        """data: (n_channels, n_samples)."""
        end = self._end + data.shape[1]
        if end > self._memory.shape[1]:
            end -= self._begin
            held = self._memory[:, self._begin : self._end]
            if end > self._memory.shape[1]:
                self._memory = np.empty((len(held), end), held.dtype)
            self._memory[:, : held.shape[1]] = held
            self._begin, self._end = 0, held.shape[1]
        self._memory[:, self._end : end] = data
        self._end = end

    def between(self, begin: int, end: int) -> npt.NDArray[Scalar]:
        """Samples by number; valid until the next `append`."""
        shift = self._begin - self._first
        return self._memory[:, begin + shift : end + shift]

    def forget(self, before: int) -> None:
        """Drops the samples with numbers below `before`."""
        drop = min(max(before - self._first, 0), self._end - self._begin)
        self._begin += drop
        self._first += drop
