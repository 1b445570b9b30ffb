"""`report`: everything that is not yet there, then the tables, pictures and plain words of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.verbs.options import add_jobs, add_quick, add_recipe, data_of, new_parser, out_of, recipe_of

_TOLD = "evaluate what is not evaluated yet and write REPORT.md, report.json, pictures and MODEL_CARD.md"
_EXAMPLE = """
examples:
  python -m training report --recipe eegmat --data ../shared/data/eegmat
  python -m training report --recipe simulated --quick

Writes into OUT/report. Goes on where it was stopped. Exit code 1 where a check fails: shuffled EEG above
chance, or, on the simulated corpus, classes found that are identical or missed that are different.
"""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = new_parser(subparsers, "report", _TOLD, _EXAMPLE)
    add_recipe(parser)
    add_jobs(parser)
    add_quick(parser)
    parser.add_argument(
        "--embedder",
        type=Path,
        default=Path("build/minilm"),
        help="all-MiniLM-L6-v2 as `make embedder` exports it (default: build/minilm); without it Figure 9 is "
        "left out",
    )
    parser.add_argument(
        "--no-language",
        action="store_true",
        help="leave out Table I's fine-tuned language models, which take the longest on the simulated corpus",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    # Late, so that --help is quick.
    from training.evaluation.material import Place
    from training.report.make import make_report
    from training.workers import cores

    plan = recipe_of(args)
    report = make_report(
        Place(plan, out_of(args)),
        data_of(args, plan),
        args.jobs or cores(),
        quick=args.quick,
        embedder=args.embedder,
        language=not args.no_language,
    )
    for check in report.checks:
        print(check.line())
    for sentence in report.discussion:
        print(f"- {sentence}")
    print(f"{out_of(args) / 'report' / 'REPORT.md'}")
    return 1 if any(check.passed is False for check in report.checks) else 0
