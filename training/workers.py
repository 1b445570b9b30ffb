"""Work in processes of one thread each, which end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from training.errors import TrainingError

T = TypeVar("T")
# Libraries read these when they are loaded: workers share the cores instead of each wanting all of them,
# and only the parent draws a bar.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
}


def cores() -> int:
    return len(os.sched_getaffinity(0))


class Workers:
    """A pool that is open: `each` may be called again and again."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def each(self, work: Callable[[T], object], items: Sequence[T]) -> Iterator[int]:
        """Does all items and yields the place of each as it is done; what `work` raises is raised here.

        Raises TrainingError where a process is ended from outside.
        """
        try:
            running = {self._pool.submit(work, item): place for place, item in enumerate(items)}
            for one in as_completed(running):
                one.result()
                yield running[one]
        except BrokenProcessPool:
            raise TrainingError(
                "a worker process was ended from outside, perhaps for want of memory: "
                "run the same command again, with fewer --jobs; what is done is kept"
            ) from None


@contextmanager
def workers(jobs: int, begin: Callable[..., object], *arguments: object) -> Iterator[Workers]:
    """begin: called with `arguments` once in each process. On leaving, what has not begun is not begun."""
    # Forked children would inherit locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    with _environment():
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(begin, arguments))
        try:
            yield Workers(pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(begin: Callable[..., object], arguments: tuple[object, ...]) -> None:
    """Workers outlive a parent that was killed, and would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("only for workers")

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    begin(*arguments)


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
