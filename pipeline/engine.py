"""Where many pieces of work are done, as a verb's user chooses."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from pipeline.errors import PipelineError


@dataclass(frozen=True, slots=True)
class Engine:
    """On this machine, or on Ray. address: of the cluster's head, see `cluster`."""

    ray: bool = False
    address: str = ""


LOCAL = Engine()


def add_engine(parser: argparse.ArgumentParser, of_what: str = "where it is done") -> None:
    """of_what: begins the help; says so where not all that the verb does can be done elsewhere."""
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help=f"{of_what}: here, or on a Ray cluster, see docs/cluster.md (default: local)",
    )
    parser.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        default="",
        help="of the cluster's head, or auto for the cluster of this machine (default: one of its own, here)",
    )


def engine_of(args: argparse.Namespace) -> Engine:
    """Raises PipelineError."""
    if args.ray_address and args.engine != "ray":
        raise PipelineError("--ray-address goes with --engine ray")
    return Engine(args.engine == "ray", args.ray_address)
