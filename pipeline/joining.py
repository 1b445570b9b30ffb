"""Ray itself, joined or started here, quiet and closed to strangers.

Ray is an extra, and is imported here alone. It tells its makers what it is used for, unless it is told not to
before it is loaded: so it is here.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError

_INSTALL = "--engine ray needs Ray: pip install 'eeg-emotion-copilot[ray]'"
# A piece whose machine or process was lost is begun again so often. What the piece itself raises is final.
RETRIES = 5
# Results wait here for whoever keeps them; what does not fit goes to disk.
_STORE_BYTES = 256 << 20
_ANSWERS_S = 10.0
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Else it warns of what a later version will do with GPUs.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Else a piece that does not fit into memory is begun again without end.
    "RAY_task_oom_retries": str(RETRIES),
}
# As Ray does by itself on a desktop: all its sockets are on the loopback, and ask for a password.
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
_LOOPBACK = "127.0.0.1"


class ClusterError(PipelineError):
    """A cluster that cannot be had, or lost a piece too often."""


@contextmanager
def joined(address: str, cores: int, environment: Mapping[str, str]) -> Iterator[Any]:
    """Ray itself, connected. Raises ClusterError, one line.

    address, environment: as `pipeline.cluster.cluster` has them. cores: of a cluster of our own, 0 for all of
    this machine's.
    """
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
            raise ClusterError(f"{address or 'a Ray cluster on this machine'}: {line_of(why)}") from None
        yield ray
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


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


def line_of(why: BaseException) -> str:
    return str(why) or type(why).__name__
