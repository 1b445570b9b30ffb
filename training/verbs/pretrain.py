"""`pretrain`: all weights of a language model on public text."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.arguments import between, positive
from training.verbs.options import add_recipe_alone, add_steps, new_parser, out_of, overridden

_TOLD = "train a language model on public text: a small one from scratch, or one that was pruned"
_EXAMPLE = """
examples:
  python -m training pretrain --recipe eegmat --texts TEXTS --shape small
  python -m training pretrain --recipe smollm2 --texts TEXTS --recover
  accelerate launch --num_processes 4 -m training pretrain --base FOLDER --texts TEXTS

TEXTS is any folder of .txt, .md, .rst, .jsonl (field `text`) or names without an ending, also as .gz;
Wikitext (.tokens, cut at its titles) and Common Crawl (.wet.gz) are read as they are published.
Writes OUT/base, or OUT/recovered with --recover, each with pretrain.json. Stopped at any moment, the same
command goes on and ends in the same weights. Research use only, not a medical device.
"""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = new_parser(subparsers, "pretrain", _TOLD, _EXAMPLE)
    add_recipe_alone(parser, "pretrain")
    parser.add_argument("--texts", type=Path, required=True, help="folder of text files, or one file")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--base", type=Path, help="go on from this folder of weights")
    source.add_argument("--recover", action="store_true", help="go on from OUT/pruned")
    source.add_argument(
        "--shape", help="from scratch: tiny, small, qwen2-0.5b, smollm2-135m or a config.json"
    )
    parser.add_argument(
        "--teacher", type=Path, help="folder of a model with the same tokenizer to learn from"
    )
    parser.add_argument("--epochs", type=positive, help="in place of the recipe's")
    parser.add_argument("--learning-rate", type=positive, help="in place of the recipe's")
    parser.add_argument(
        "--max-steps", type=between(0), default=0, help="end after so many (default: all epochs)"
    )
    add_steps(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from accelerate import Accelerator

    from training import recipe
    from training.bases import open_base
    from training.device import pick
    from training.pretrain import from_scratch, pretrain

    plan, out = recipe.load(args.recipe), out_of(args)
    how = overridden(plan.pretrain, args, "shape", "epochs", "learning_rate")
    device = pick(args.threads)
    accelerator = Accelerator(cpu=device.type == "cpu")
    source = out / "pruned" if args.recover else args.base
    base = open_base(source) if source is not None else from_scratch(how, args.texts, plan.labels)
    told = pretrain(
        base,
        how,
        args.texts,
        out / ("recovered" if args.recover else "base"),
        accelerator,
        teacher=open_base(args.teacher) if args.teacher else None,
        every_s=args.checkpoint_seconds,
        every=args.checkpoint_steps,
        bf16=args.bf16,
        most_steps=args.max_steps,
    )
    if accelerator.is_main_process:
        print(
            f"{told.parameters:,} parameters, {told.steps} steps over {told.tokens_seen:,} tokens; "
            f"perplexity on {told.after.tokens:,} held-out tokens {told.before.perplexity:,.1f} -> "
            f"{told.after.perplexity:,.1f} ({told.after.bits_per_byte:.3f} bits a byte)"
        )
    return 0
