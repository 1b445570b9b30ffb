"""A recipe: everything that decides a training run, as one TOML file."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

import msgspec

from pipeline.settings import PipelineSettings
from training.corpora.settings import CorpusSettings, Eegmat
from training.errors import TrainingError
from training.evaluation.settings import Evaluate
from training.lm_settings import Lora, Pretrain, Prune


class RecipeError(TrainingError):
    """A recipe that cannot be followed: one line that says why."""


class ModelShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Qwen2 shape, trained from scratch."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int


class Fit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the weights are found: AdamW under a one-cycle rate, and the running average of the weights."""

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    warmup: float
    """Share of the steps in which the rate rises."""
    label_smoothing: float
    dropout: float
    """Of attention weights."""
    average: float
    """Share of the newest weights in the running average, at each step."""


class Augment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a window may look like on another head. Noise in codes."""

    code_noise: float
    """Standard deviation, drawn for each code."""
    band_noise: float
    """Standard deviation, drawn for each band over the whole head."""
    montage_share: float
    """Share of windows of which electrodes are left out."""
    electrode_drop: float
    """Largest share of electrodes left out of such a window."""
    person_drop: float
    """Share of windows whose demographics are unknown."""


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    labels: tuple[str, ...]
    seed: int
    folds: int
    pipeline: PipelineSettings
    model: ModelShape
    fit: Fit
    augment: Augment
    montages: dict[str, tuple[str, ...]] = {}
    """Smaller headsets to evaluate on, by name: those of their electrodes that the recordings have."""
    corpus: CorpusSettings = Eegmat()
    evaluate: Evaluate = Evaluate()
    pretrain: Pretrain = Pretrain()
    prune: Prune = Prune()
    lora: Lora = Lora()


def load(name: str) -> Recipe:
    """A shipped recipe by name, or any by path. Raises RecipeError."""
    path = (
        Path(name)
        if name.endswith(".toml")
        else Path(str(resources.files("training"))) / "recipes" / f"{name}.toml"
    )
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Recipe)
    except FileNotFoundError as error:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.toml"))) or "none"
        raise RecipeError(f"no recipe at {path}; recipes there: {known}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise RecipeError(f"{path}: {error}") from error
