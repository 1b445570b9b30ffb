"""`evaluate`: the model and what it is compared with, on people, trials and clips held out."""

from __future__ import annotations

import argparse

from pipeline.engine import add_engine, engine_of
from training.evaluation.settings import PROTOCOLS, SYSTEMS
from training.verbs.options import (
    add_jobs,
    add_quick,
    add_recipe,
    data_of,
    new_parser,
    out_of,
    recipe_of,
)

_TOLD = "cross-validate the recipe's model and what it is compared with, in the same folds"
_EXAMPLE = """
examples:
  python -m training evaluate --recipe eegmat --data ../shared/data/eegmat
  python -m training evaluate --data ../shared/data/eegmat --protocol person-held-out --system svm-codes

Writes one file for each system and fold into OUT/evaluation and goes on where it was stopped;
OUT/evaluation.json holds what a bundle tells of its model. `report` makes tables and pictures of it.
"""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = new_parser(subparsers, "evaluate", _TOLD, _EXAMPLE)
    add_recipe(parser)
    add_jobs(parser)
    add_engine(parser)
    add_quick(parser)
    parser.add_argument("--protocol", action="append", choices=PROTOCOLS, help="only this one, or several")
    parser.add_argument(
        "--system", action="append", choices=SYSTEMS, help="only this one; may be given again"
    )
    parser.add_argument(
        "--variant",
        action="append",
        metavar="NAME",
        help="only what begins so: as-recorded, shuffled, demographics, uncalibrated, a compression, montage",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    # Late, so that --help is quick.

    from pipeline.whole import as_json, write_whole
    from training.evaluation.material import Place
    from training.evaluation.run import Only, evaluate
    from training.evaluation.summary import bundle_evaluation, gather
    from training.evaluation.tables import rows

    plan = recipe_of(args)
    place = Place(plan, out_of(args))
    only = Only(tuple(args.protocol or ()), tuple(args.system or ()), tuple(args.variant or ()))
    done = evaluate(place, data_of(args, plan), args.jobs, only, engine_of(args))
    figures, _ = gather(place, done.cells)
    for line in rows(figures):
        print(line)
    for missing in done.missing:
        print(f"not possible here: {missing.what}: {missing.why}")
    told = bundle_evaluation(place, done.cells)
    if told is not None:
        path = place.out / "evaluation.json"
        write_whole(path, as_json(told))
        print(f"{path}: what a bundle tells of this model")
    return 0
