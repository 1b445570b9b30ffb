"""Options that verbs share, so that they read and mean the same everywhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeVar

import msgspec

from pipeline.arguments import between, positive
from training import recipe
from training.corpora.settings import Simulated
from training.errors import TrainingError
from training.evaluation.settings import QUICK_BATCH, QUICK_FOLDS, QUICK_PEOPLE, quick

S = TypeVar("S", bound=msgspec.Struct)

# Where recordings lie if nobody says where.
_DATA = (Path("data"), Path("../shared/data"))


def new_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, told: str, examples: str
) -> argparse.ArgumentParser:
    """A verb's own: one line of help, examples below the options."""
    return verbs.add_parser(
        name,
        help=told,
        description=told,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe", default="eegmat", help="name of a shipped recipe or a TOML file (default: eegmat)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="folder of the recordings (default: data/KIND or ../shared/data/KIND, as [corpus] names it; "
        "a simulated corpus makes its own in --out)",
    )
    add_out(parser)


def add_recipe_alone(parser: argparse.ArgumentParser, table: str) -> None:
    """For verbs that take no recordings. table: the recipe's that they read."""
    parser.add_argument("--recipe", default="eegmat", help=f"whose [{table}] is taken (default: eegmat)")
    add_out(parser)


def add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, help="folder for the results (default: build/RECIPE)")


def add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--jobs",
        type=between(0),
        default=0,
        help="processes, one thread each (default: one a core; on Ray, of all machines)",
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=between(0), default=0, help="CPU threads (default: torch's choice)")


def add_steps(parser: argparse.ArgumentParser) -> None:
    """How a language model's weights are updated and kept meanwhile."""
    parser.add_argument(
        "--checkpoint-seconds", type=positive, default=120.0, help="between checkpoints (default: 120)"
    )
    parser.add_argument(
        "--checkpoint-steps", type=between(0), default=0, help="also every so many updates (default: never)"
    )
    parser.add_argument("--bf16", action="store_true", help="multiply in bfloat16; weights stay float32")
    add_threads(parser)


def add_quick(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"minutes instead of an hour: {QUICK_PEOPLE} people, {QUICK_FOLDS} folds, hardly trained; "
        "shows that everything runs, not how well people are read (default --out: build/RECIPE-quick)",
    )


def overridden(settings: S, args: argparse.Namespace, *names: str) -> S:
    """A table of the recipe, with the options of these names in place of its own where they were given.

    Raises TrainingError.
    """
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    try:
        return msgspec.convert(msgspec.structs.asdict(settings) | given, type(settings))
    except msgspec.ValidationError as why:
        raise TrainingError(f"{type(settings).__name__.lower()}: {why}") from None


def recipe_of(args: argparse.Namespace) -> recipe.Recipe:
    """With `--quick` as short as it can be. Raises TrainingError."""
    plan = recipe.load(args.recipe)
    if not getattr(args, "quick", False):
        return plan
    corpus = plan.corpus
    if isinstance(corpus, Simulated):
        corpus = msgspec.structs.replace(corpus, n_people=min(corpus.n_people, QUICK_PEOPLE))
    return msgspec.structs.replace(
        plan,
        folds=min(plan.folds, QUICK_FOLDS),
        fit=msgspec.structs.replace(plan.fit, batch=QUICK_BATCH),
        evaluate=quick(plan.evaluate),
        corpus=corpus,
    )


def out_of(args: argparse.Namespace) -> Path:
    if args.out is not None:
        out: Path = args.out
        return out
    name = _recipe_name(args)
    return Path("build") / (f"{name}-quick" if getattr(args, "quick", False) else name)


def _recipe_name(args: argparse.Namespace) -> str:
    return Path(args.recipe).stem if args.recipe.endswith(".toml") else args.recipe


def data_of(args: argparse.Namespace, plan: recipe.Recipe) -> Path:
    """Raises TrainingError where recordings are needed and no folder is given."""
    if args.data is not None:
        data: Path = args.data
        return data
    if isinstance(plan.corpus, Simulated):
        return out_of(args) / "recordings"
    places = [folder / str(plan.corpus.__struct_config__.tag) for folder in _DATA]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        looked = " or ".join(map(str, places))
        raise TrainingError(f"{plan.name}: no recordings in {looked}: give their folder with --data")
    return found
