"""`python -m training corpus`: recordings to examples, through the very chain of the daemon."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from pipeline.engine import add_engine, engine_of
from training.verbs.options import (
    add_jobs,
    add_recipe,
    data_of,
    new_parser,
    out_of,
    recipe_of,
)

_TOLD = "play recordings through the daemon's chain and keep the labelled windows"
_EXAMPLES = """\
examples:
  python -m training corpus --download eegmat --data data/eegmat
  python -m training corpus --recipe eegmat --data data/eegmat
  python -m training corpus --recipe simulated --prompts build/simulated/prompts.jsonl
  python -m training corpus --recipe faced-9 --data FACED --compression w50-approx --jobs 8
  python -m training corpus --recipe faced-9 --data FACED --engine ray --ray-address auto

Each sitting becomes one file in OUT/corpus; what is there and whole is not made again, so that a run that
was stopped goes on. Smaller headsets of the recipe's [montages] get a corpus each in OUT/corpus/montages.
Research use only, not a medical device.
"""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    p = new_parser(subparsers, "corpus", _TOLD, _EXAMPLES)
    add_recipe(p)
    add_jobs(p)
    add_engine(p)
    p.add_argument("--compression", help="in place of the recipe's; kept in OUT/corpus-NAME")
    p.add_argument(
        "--montage", action="append", default=[], help="also as this one of the recipe's [montages], or `all`"
    )
    p.add_argument("--prompts", type=Path, help="write questions and answers as text, one JSON object a line")
    p.add_argument("--download", choices=["eegmat"], help="fetch public recordings into --data, then stop")
    p.add_argument("--base-url", help="where --download fetches from, if not from its publisher")
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Raises TrainingError, one line."""
    return _download(args) if args.download else _make(args)


def _download(args: argparse.Namespace) -> int:
    from training.corpora.downloads import EEGMAT_CITATION, EEGMAT_URL, fetch_eegmat
    from training.errors import TrainingError

    if args.data is None:
        raise TrainingError("--download needs --data: the folder to put the recordings into")
    n = fetch_eegmat(args.data, args.base_url or EEGMAT_URL)
    print(f"{n} recordings in {args.data}, each the published file by its sha256.\n{EEGMAT_CITATION}")
    return 0


def _make(args: argparse.Namespace) -> int:
    import msgspec

    from pipeline.wavelet import METHODS
    from training.corpora.prompts import write_prompts
    from training.corpus import make_corpus
    from training.errors import TrainingError

    plan, out, engine = recipe_of(args), out_of(args), engine_of(args)
    data = data_of(args, plan)
    folder = out / "corpus"
    if args.compression:
        if args.compression not in METHODS:
            raise TrainingError(f"no compression {args.compression!r}; there are: {', '.join(METHODS)}")
        plan = msgspec.structs.replace(
            plan, pipeline=msgspec.structs.replace(plan.pipeline, compression=args.compression)
        )
        folder = out / f"corpus-{args.compression}"
    corpus = make_corpus(plan, data, folder, jobs=args.jobs, engine=engine)
    for montage in plan.montages if "all" in args.montage else dict.fromkeys(args.montage):
        make_corpus(plan, data, folder, montage=montage, jobs=args.jobs, engine=engine)
    count = Counter(example.label for example in corpus.examples)
    shares = ", ".join(f"{label} {count[label]}" for label in corpus.labels)
    shifted = f" and {len(corpus.shifted)} shifted" if corpus.shifted else ""
    people = len({example.subject for example in corpus.examples})
    print(f"{people} people, {len(corpus.examples)} examples{shifted} in {folder}: {shares}")
    for note in corpus.notes:
        print(f"note: {note}")
    if args.prompts:
        lines = write_prompts([*corpus.examples, *corpus.shifted], args.prompts)
        print(f"{lines} questions and answers in {args.prompts}")
    return 0
