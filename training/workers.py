"""Pieces of work, several at once, behind a bar: in processes of one thread each, on Ray, or in this one.

A piece keeps its result itself, whole, or gives it back to be kept, and begins by looking whether it is
there: so any run goes on where it was stopped, and no piece depends on which process does it or when.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from tqdm import tqdm

from pipeline.cluster import Cluster, cluster
from pipeline.engine import LOCAL, Engine
from pipeline.errors import PipelineError
from training.errors import TrainingError

T = TypeVar("T")
R = TypeVar("R")
# Libraries read these when they are loaded: workers share the cores instead of each wanting all of them,
# and only the parent draws a bar.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
}


def cores() -> int:
    return len(os.sched_getaffinity(0))


class Workers(ABC):
    """`do` may be called again and again. What `work` and `name` are, and the items, travel by pickle."""

    def do(
        self,
        work: Callable[[T], R],
        items: Sequence[T],
        title: str,
        unit: str,
        *,
        keep: Callable[[T, R], object] | None = None,
        name: Callable[[T], str] = str,
        progress: bool = True,
    ) -> None:
        """All items, in any order; the first that fails stops it, and those done stay.

        title, unit: of the bar. keep: called in this process with an item and what came of it. name: of an
        item, told where it fails. Raises TrainingError or PipelineError, one line.
        """
        with tqdm(total=len(items), desc=title, unit=unit, disable=not (progress and items)) as bar:
            for _ in self.each(_Named(work, name), items, keep):
                bar.update()

    def each(
        self,
        work: Callable[[T], R],
        items: Sequence[T],
        keep: Callable[[T, R], object] | None = None,
    ) -> Iterator[int]:
        """Does all items and yields the place of each as it is done; what `work` raises is raised here."""
        with closing(self._results(work, items)) as results:
            for place, result in results:
                if keep is not None:
                    keep(items[place], result)
                yield place

    @abstractmethod
    def _results(self, work: Callable[[T], R], items: Sequence[T]) -> Generator[tuple[int, R]]:
        """Each item's place and what came of it, as it is done."""


@dataclass(frozen=True, slots=True)
class _Named(Generic[T, R]):
    """Work whose errors are one line that names the item, or the file that it is about."""

    work: Callable[[T], R]
    name: Callable[[T], str]

    def __call__(self, item: T) -> R:
        try:
            return self.work(item)
        except PipelineError as why:
            raise TrainingError(f"{self.name(item)}: {why}") from None
        except OSError as why:
            about = why.filename or self.name(item)
            raise TrainingError(f"{about}: cannot be read: {why.strerror or why}") from None
        except MemoryError:
            raise TrainingError(f"{self.name(item)}: does not fit into memory: use fewer --jobs") from None


class Alone(Workers):
    """No other process: one item after the other, in this one."""

    def _results(self, work: Callable[[T], R], items: Sequence[T]) -> Generator[tuple[int, R]]:
        for place, item in enumerate(items):
            yield place, work(item)


class Processes(Workers):
    """A pool that is open."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def _results(self, work: Callable[[T], R], items: Sequence[T]) -> Generator[tuple[int, R]]:
        """Raises TrainingError where a process is ended from outside."""
        try:
            running = {self._pool.submit(work, item): place for place, item in enumerate(items)}
            for one in as_completed(list(running)):
                yield running.pop(one), one.result()
        except BrokenProcessPool:
            raise TrainingError(
                "a worker process was ended from outside, perhaps for want of memory: "
                "run the same command again, with fewer --jobs; what is done is kept"
            ) from None


class OnRay(Workers):
    """A cluster that is open."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def _results(self, work: Callable[[T], R], items: Sequence[T]) -> Generator[tuple[int, R]]:
        """Raises ClusterError where a process is ended from outside again and again."""
        return self._cluster.results(work, items, work.name if isinstance(work, _Named) else str)


@contextmanager
def workers(
    jobs: int, begin: Callable[..., object] | None = None, *arguments: object, engine: Engine = LOCAL
) -> Iterator[Workers]:
    """begin: called with `arguments` once in each process. On leaving, what has not begun is not begun.

    jobs: processes, 0 for one a core. Raises ClusterError, one line.
    """
    if engine.ray:
        with cluster(engine.address, jobs, ENVIRONMENT, begin, *arguments) as ray:
            yield OnRay(ray)
        return
    # Forked children would inherit locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    with _environment():
        pool = ProcessPoolExecutor(
            jobs or cores(), mp_context=context, initializer=_begin, initargs=(begin, arguments)
        )
        try:
            yield Processes(pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(begin: Callable[..., object] | None, arguments: tuple[object, ...]) -> None:
    """Workers outlive a parent that was killed, and would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("only for workers")

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if begin is not None:
        begin(*arguments)


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
