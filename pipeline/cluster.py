"""Pieces of work on the machines of a Ray cluster; what a lost machine was doing is done elsewhere."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import secrets
import socket
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pipeline.joining import RETRIES, ClusterError, joined, line_of

T = TypeVar("T")
R = TypeVar("R")

# Whatever decides the bytes of a result. Ray itself refuses another Ray or Python.
_SAME = ("eeg-emotion-copilot", "numpy", "scipy", "PyWavelets", "onnxruntime")
_UNKNOWN = "failed to import on the worker"


@dataclass(frozen=True, slots=True)
class Opening:
    """What a process on any machine does before its first piece.

    token: of this cluster, for processes serve one after the other. folder: that paths are relative to.
    """

    token: str
    versions: dict[str, str]
    folder: Path
    begin: Callable[..., object] | None
    arguments: tuple[object, ...]


class Cluster:
    """One that is open: `results` may be asked for again and again."""

    def __init__(self, ray: Any, opening: Opening, at_once: int, cpus: int) -> None:
        self._ray = ray
        self._opening = ray.put(opening)
        self._at_once = at_once
        self._cpus = cpus
        self._piece = ray.remote(num_cpus=cpus, max_retries=RETRIES)(_piece)

    def results(
        self, work: Callable[[T], R], items: Sequence[T], name: Callable[[T], str] = str
    ) -> Generator[tuple[int, R]]:
        """Each item's place, once, and what came of it, as it is done; what `work` raises is raised.

        name: of an item, told where its process ends again and again. Closing it ends what is under way.
        Raises ClusterError, one line.
        """
        waiting = iter(enumerate(items))
        running: dict[Any, int] = {}
        try:
            while True:
                for place, item in islice(waiting, max(0, self._room() - len(running))):
                    running[self._piece.remote(self._opening, work, item)] = place
                if not running:
                    return
                (done,), _ = self._ray.wait(list(running))
                place = running.pop(done)
                yield place, self._result(done, name(items[place]))
        finally:
            for piece in running:
                self._ray.cancel(piece, force=True)

    def _room(self) -> int:
        """Pieces that are handed out: as many again as can run, so that no machine waits for this one."""
        if self._at_once:
            return self._at_once
        there = int(self._ray.cluster_resources().get("CPU", 0)) // self._cpus
        return max(2, 2 * there)

    def _result(self, piece: Any, name: str) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(piece)
        except errors.RayTaskError as why:
            if _UNKNOWN in str(why.cause):
                raise ClusterError(
                    f"{name}: a machine of the cluster lacks this program: install the same versions on all"
                ) from None
            raise why.cause from None
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError):
            raise ClusterError(
                f"{name}: the process at work on it was ended from outside {RETRIES + 1} times, perhaps for "
                "want of memory: run the same command again, with fewer --jobs; what is done is kept"
            ) from None
        except errors.RayError as why:
            raise ClusterError(f"{name}: {line_of(why)}") from None


@contextmanager
def cluster(
    address: str,
    jobs: int,
    environment: Mapping[str, str],
    begin: Callable[..., object] | None = None,
    *arguments: object,
    cpus: int = 1,
) -> Iterator[Cluster]:
    """A cluster to work on. Raises ClusterError, one line.

    address: of its head, host:port, or `auto` for the one that this machine is part of; empty for one of
    our own on this machine alone, which ends with the work. jobs: pieces at once, 0 for as many as there are
    cores. environment: variables that each process has from its start. begin: called with `arguments` once
    in each process, before its first piece. cpus: cores that a piece takes.
    """
    token = secrets.token_hex(16)
    opening = Opening(token, versions(), Path.cwd(), begin, arguments)
    with joined(address, jobs * cpus, environment) as ray:
        most = max((node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
        if most < cpus:
            raise ClusterError(f"no machine of the cluster has {cpus} cores to work with, {most:g} at most")
        yield Cluster(ray, opening, jobs, cpus)


def versions() -> dict[str, str]:
    """Of what decides the bytes of results."""
    found = {"Python": platform.python_version()}
    for name in _SAME:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


_begun = ""


def _piece(opening: Opening, work: Callable[[T], R], item: T) -> R:
    global _begun
    if _begun != opening.token:
        _check_same(opening.versions)
        # Where this machine has no such folder, paths that are not relative are found all the same.
        with suppress(OSError):
            os.chdir(opening.folder)
        if opening.begin is not None:
            opening.begin(*opening.arguments)
        _begun = opening.token
    return work(item)


def _check_same(wanted: Mapping[str, str]) -> None:
    """Other versions may give other bytes."""
    here = versions()
    for name, version in wanted.items():
        if here.get(name) != version:
            raise ClusterError(
                f"machine {socket.gethostname()}: {name} is {here.get(name, 'missing')}, and {version} where "
                "the command was given: install the same versions on all machines"
            )
