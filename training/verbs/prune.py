"""`prune`: a language model with a part of every width, of its layers or of its vocabulary."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.arguments import between
from training.verbs.options import add_recipe_alone, add_threads, new_parser, out_of, overridden

_TOLD = "cut the channels that count least out of a language model; it reloads in stock transformers"
_EXAMPLE = """
examples:
  python -m training prune --shape qwen2-0.5b --ratio 0.5 --json
  python -m training prune --recipe smollm2 --trim-vocabulary TEXTS --texts TEXTS
  python -m training prune --base FOLDER --ratio 0.3 --importance taylor --texts TEXTS --drop-layers 4

Writes OUT/pruned with pruning.json. A pruned model is ruined until it is trained again: go on with
`pretrain --recover`. --shape prunes random weights, for the figures alone, and writes nothing.
Research use only, not a medical device.
"""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = new_parser(subparsers, "prune", _TOLD, _EXAMPLE)
    add_recipe_alone(parser, "prune")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--base", type=Path, help="folder of the model to prune (default: OUT/base)")
    source.add_argument(
        "--shape", help="random weights: tiny, small, qwen2-0.5b, smollm2-135m or a config.json"
    )
    parser.add_argument("--ratio", type=float, help="of each width that is cut: between 0 and 1")
    parser.add_argument("--importance", choices=("group-l2", "taylor", "activation"), help="what counts")
    parser.add_argument(
        "--attention",
        choices=("auto", "heads", "head-dim"),
        help="cut whole groups of heads, or each head (default: auto)",
    )
    parser.add_argument(
        "--drop-layers", type=between(1), metavar="N", help="leave out the N layers that change least"
    )
    parser.add_argument(
        "--trim-vocabulary",
        type=Path,
        metavar="TEXTS",
        help="keep the tokens of these texts and the prompt's",
    )
    parser.add_argument(
        "--vocabulary", type=between(1), metavar="N", help="with it: the N most frequent at most"
    )
    parser.add_argument(
        "--texts", type=Path, help="text for taylor, activation, --drop-layers and perplexity"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON line")
    add_threads(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    import msgspec

    from training import recipe
    from training.bases import fresh, open_base, shape
    from training.device import pick
    from training.errors import TrainingError
    from training.pruning.prune import prune_base, prune_shape
    from training.pruning.table import lines
    from training.pruning.words import domain_texts

    plan = recipe.load(args.recipe)
    if args.ratio is not None and not 0 < args.ratio < 1:
        raise TrainingError(f"--ratio must lie between 0 and 1, got {args.ratio:g}")
    how = overridden(plan.prune, args, "ratio", "importance", "attention", "drop_layers", "vocabulary")
    pick(args.threads)
    if args.shape:
        told = prune_shape(fresh(shape(args.shape), how.seed).eval(), how)
    else:
        out = out_of(args)
        words = None if args.trim_vocabulary is None else domain_texts(args.trim_vocabulary, plan)
        told = prune_base(open_base(args.base or out / "base"), how, out / "pruned", args.texts, words)
    if args.json:
        print(msgspec.json.encode(told).decode())
    else:
        print("\n".join(lines(told)))
        if not args.shape:
            print(f"in {out_of(args) / 'pruned'}")
    return 0
