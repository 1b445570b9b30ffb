"""Fine-tuning by Ray Train on two nodes: killed and gone on from a checkpoint, the weights of two at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cluster_at_hand import nodes, run, short_recipe, start, table, wait
from safetensors.torch import load_file

from training import tokenizer
from training.bases import Base, fresh, save_base, shape

LORA = """
[lora]
r = 4
dropout = 0.1
learning_rate = 5e-3
words = true
steps = 2
epochs = 6.0
batch = 4
rows = 2
held_out = 1
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


@pytest.mark.timeout(600)
def test_a_node_killed_while_tuning(tmp_path: Path) -> None:
    words = tokenizer.train(("calm", "stress"))
    save_base(Base(fresh(shape("tiny", words), 0), words), tmp_path / "base")
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    table(recordings, 4)
    recipe = short_recipe(tmp_path / "short.toml", LORA)
    told = ["-m", "training", "finetune", "--recipe", recipe, "--data", recordings]
    told += ["--base", tmp_path / "base", "--checkpoint-steps", 3, "--threads", 1, "--out"]
    out = tmp_path / "ray"
    with nodes() as there:
        ray = ["--engine", "ray", "--ray-address", there.address, "--processes", 2]
        tuning = start(*told, out, *ray)
        wait(lambda: any((out / "finetune-checkpoints").glob("*.pt")), tuning, 300)
        there.kill_one()
        assert not (out / "step-2").exists()
        there.add_one()
        printed, errors = tuning.communicate(timeout=400)
        assert tuning.returncode == 0, errors
    assert printed.splitlines()[0].startswith("step 1: ") and "parameters in" in printed.splitlines()[-1]
    assert not (out / "ray-train").exists()
    ours = run(*TORCHRUN, *told, tmp_path / "local")
    assert ours.returncode == 0, ours.stderr
    one, other = (load_file(folder / "tuned" / "model.safetensors") for folder in (out, tmp_path / "local"))
    # Each of two processes drops out others than one alone would: so it is seen that there were two.
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.timeout(600)
def test_folds_on_ray_give_the_same_answers(tmp_path: Path) -> None:
    table(tmp_path, 4)
    recipe = short_recipe(tmp_path / "short.toml")
    recipe.write_text(recipe.read_text().replace("folds = 5", "folds = 2"))
    told = ["-m", "training", "evaluate", "--recipe", recipe, "--data", tmp_path, "--variant", "as-recorded"]
    told += ["--protocol", "person-held-out", "--system", "svm-codes", "--system", "logistic-bands"]
    local = run(*told, "--out", tmp_path / "local", "--jobs", 1)
    assert local.returncode == 0, local.stderr
    ray = run(*told, "--out", tmp_path / "ray", "--engine", "ray")
    assert ray.returncode == 0, ray.stderr
    cells = sorted(path.relative_to(tmp_path / "local") for path in (tmp_path / "local").rglob("*-[01].npz"))
    assert len(cells) == 4
    for cell in cells:
        with np.load(tmp_path / "local" / cell) as one, np.load(tmp_path / "ray" / cell) as other:
            # All but how long an answer took.
            for name in set(one.files) - {"seconds"}:
                np.testing.assert_array_equal(one[name], other[name])
