"""Pieces of work on the machines of a Ray cluster; what a lost machine was doing is done elsewhere.

Ray is an extra, and is imported where a cluster is opened. It tells its makers what it is used for, unless it
is told not to before it is loaded: so it is here.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import PipelineError

T = TypeVar("T")
R = TypeVar("R")

_INSTALL = "--engine ray needs Ray: pip install 'eeg-emotion-copilot[ray]'"
# A piece whose machine or process was lost is begun again so often. What the piece itself raises is final.
RETRIES = 5
# Results wait here for whoever keeps them; what does not fit goes to disk.
_STORE_BYTES = 256 << 20
_ANSWERS_S = 10.0
# Whatever decides the bytes of a result. Ray itself refuses another Ray or Python.
_SAME = ("eeg-emotion-copilot", "numpy", "scipy", "PyWavelets", "onnxruntime")
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Else it warns of what a later version will do with GPUs.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Else a piece that does not fit into memory is begun again without end.
    "RAY_task_oom_retries": str(RETRIES),
}
# As Ray does by itself on a desktop: all its sockets are on the loopback, and ask for a password.
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
_UNKNOWN = "failed to import on the worker"
_LOOPBACK = "127.0.0.1"


class ClusterError(PipelineError):
    """A cluster that cannot be had, or lost a piece too often."""


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
    """One that is open: `each` may be called again and again."""

    def __init__(self, ray: Any, opening: Opening, at_once: int, cpus: int) -> None:
        self._ray = ray
        self._opening = ray.put(opening)
        self._at_once = at_once
        self._cpus = cpus
        self._piece = ray.remote(num_cpus=cpus, max_retries=RETRIES)(_piece)

    def each(
        self,
        work: Callable[[T], R],
        items: Sequence[T],
        keep: Callable[[T, R], object] | None = None,
        name: Callable[[T], str] = str,
    ) -> Iterator[int]:
        """Does all items and yields the place of each, once, as it is done; what `work` raises is raised.

        keep: called here with an item and what came of it. name: of an item, told where its process ends
        again and again. Raises ClusterError, one line.
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
                result = self._result(done, name(items[place]))
                if keep is not None:
                    keep(items[place], result)
                yield place
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
            raise ClusterError(f"{name}: {_line(why)}") from None


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


@contextmanager
def joined(address: str, cores: int, environment: Mapping[str, str]) -> Iterator[Any]:
    """Ray itself, connected; see `cluster`. cores: of a cluster of our own, 0 for this machine's."""
    os.environ.update(_QUIET if address else _QUIET | _ALONE)
    if not address:
        # Kept from one cluster to the next: Ray reads it once.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ImportError:
        raise ClusterError(_INSTALL) from None
    # It would go to standard output, over many lines.
    ray._private.worker.print_to_stdstream = _tell
    told = {"env_vars": dict(environment)}
    quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}
    folder = None if address else Path(tempfile.mkdtemp(prefix="ray-"))
    try:
        try:
            if folder is None:
                _check_there(address)
                ray.init(address=address, runtime_env=told, **quiet)
            else:
                ray.init(
                    address="local",
                    num_cpus=cores or len(os.sched_getaffinity(0)),
                    include_dashboard=False,
                    object_store_memory=_STORE_BYTES,
                    runtime_env=told,
                    _temp_dir=str(folder),
                    **quiet,
                )
                _check_alone(ray)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as why:
            raise ClusterError(f"{address or 'a Ray cluster on this machine'}: {_line(why)}") from None
        yield ray
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def versions() -> dict[str, str]:
    """Of what decides the bytes of results."""
    found = {"Python": platform.python_version()}
    for name in _SAME:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _check_there(address: str) -> None:
    """Ray itself tries for minutes where nobody answers."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), _ANSWERS_S).close()
    except (OSError, OverflowError) as why:
        told = getattr(why, "strerror", None) or why
        raise ClusterError(
            f"{address}: no Ray cluster answers there ({told}): start one with `ray start --head`, or leave "
            "--ray-address out"
        ) from None


def _check_alone(ray: Any) -> None:
    if ray.util.get_node_ip_address() != _LOOPBACK:
        raise ClusterError("Ray was loaded before it could be told to keep to itself: name --ray-address")


def _tell(batch: Mapping[str, Any], **_: object) -> None:
    """What a cluster has to say, as of a piece that is begun again."""
    lines = "\n".join(batch["lines"]).strip().splitlines()
    print(f"ray: {lines[0] if lines else ''}", file=sys.stderr)


def _line(why: BaseException) -> str:
    return str(why) or type(why).__name__


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
