"""Training in several processes on several machines, by Ray Train: begun again together where one is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.engine import Engine
from pipeline.joining import RETRIES, joined
from training.errors import TrainingError
from training.workers import ENVIRONMENT

_INSTALL = "on Ray, fine-tuning needs Ray Train: pip install 'eeg-emotion-copilot[ray-train]'"


def spread(work: Callable[[], object], processes: int, threads: int, out: Path, engine: Engine) -> None:
    """Raises TrainingError or ClusterError, one line.

    work: done by every process, with torch.distributed set up; keeps checkpoints in `out` itself, which all
    machines share, and goes on from there. processes: 0 for one a GPU or, without any, one a machine.
    threads: CPU cores of each.
    """
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.endswith("_THREADS")}
    if not engine.address:
        environment["GLOO_SOCKET_IFNAME"] = "lo"
    with joined(engine.address, processes * threads, environment) as ray:
        try:
            import ray.train.torch as ray_torch
            from ray import train
        except ImportError:
            raise TrainingError(_INSTALL) from None
        gpus = int(ray.cluster_resources().get("GPU", 0))
        machines = sum(node["Alive"] and bool(node["Resources"].get("CPU")) for node in ray.nodes())
        working = out.absolute() / "ray-train"
        trainer = ray_torch.TorchTrainer(
            _process,
            train_loop_config={"work": work, "folder": str(Path.cwd())},
            scaling_config=train.ScalingConfig(
                num_workers=processes or gpus or machines,
                use_gpu=gpus > 0,
                resources_per_worker={"CPU": threads, **({"GPU": 1} if gpus else {})},
            ),
            torch_config=ray_torch.TorchConfig(backend="nccl" if gpus else "gloo"),
            run_config=train.RunConfig(
                name=out.name,
                storage_path=str(working),
                failure_config=train.FailureConfig(max_failures=RETRIES),
            ),
        )
        try:
            trainer.fit()
        except train.TrainingFailedError as why:
            raise TrainingError(f"{out}: {_line(why)}: run the same command again, it goes on") from None
        shutil.rmtree(working, ignore_errors=True)


def _line(why: Any) -> str:
    """The first failure that a process told, else all there is."""
    told = next(iter(getattr(why, "worker_failures", {}).values()), why)
    return str(getattr(told, "cause", None) or told).strip().splitlines()[-1]


def _process(told: dict[str, Any]) -> None:
    with suppress(OSError):
        os.chdir(told["folder"])
    told["work"]()
