"""`finetune`: a language model on prompts from recordings."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.arguments import between
from pipeline.engine import add_engine, engine_of
from training.errors import TrainingError
from training.verbs.options import (
    add_recipe,
    add_steps,
    data_of,
    new_parser,
    out_of,
    recipe_of,
)

if TYPE_CHECKING:
    from training.finetune import Tuned
    from training.lm_settings import Lora
    from training.recipe import Recipe

_TOLD = "tune a language model on the corpus's prompts: LoRA, all weights, or a small model from scratch"
_EXAMPLE = """
examples:
  python -m training finetune --recipe smollm2 --data ../shared/data/eegmat --strategy 2
  python -m training finetune --base FOLDER --data ../shared/data/eegmat --preset paper
  python -m training finetune --recipe eegmat --data ../shared/data/eegmat --method scratch
  accelerate launch --num_processes 4 -m training finetune --base FOLDER --data FOLDER
  python -m training finetune --base FOLDER --data FOLDER --engine ray --ray-address auto --processes 4

Strategy 1 begins from OUT/pruned, strategy 2 from OUT/recovered, which was trained on text first.
Preset `paper` has the paper's values, `recovered` those that were measured to work on pruned models.
Writes OUT/step-1, step-2 …, each merged and whole, and OUT/tuned, which leads to the last. Stopped at any
moment, the same command goes on and ends in the same weights. Research use only, not a medical device.
"""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = new_parser(subparsers, "finetune", _TOLD, _EXAMPLE)
    add_recipe(parser)
    parser.add_argument(
        "--method",
        choices=("lora", "full", "scratch"),
        default="lora",
        help="default: lora; scratch is `fit`",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--strategy", type=int, choices=(1, 2), default=1, help="default: 1")
    source.add_argument("--base", type=Path, help="begin from this folder of weights")
    parser.add_argument(
        "--preset",
        choices=("paper", "recovered", "recovered-full"),
        help="in place of the recipe's [lora] (which is the paper's where it is not given)",
    )
    parser.add_argument(
        "--held-out", type=between(1), metavar="N", help="people to measure on and not to learn from"
    )
    parser.add_argument("--texts", type=Path, help="also tell the perplexity on held-out text of this folder")
    add_steps(parser)
    add_engine(parser)
    parser.add_argument(
        "--processes",
        type=between(0),
        default=0,
        help="on Ray, each with --threads CPU threads (default: one a GPU or, without any, one a machine)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    engine = engine_of(args)
    if args.method == "scratch":
        if engine.ray:
            raise TrainingError("--engine ray goes with --method lora and full: scratch takes minutes")
        from training.verbs import fit

        return fit.run(args)
    if not engine.ray:
        return _told(args) if _tune(args) else 0
    from training.corpus import make_corpus
    from training.spread import spread

    plan, out = recipe_of(args), out_of(args)
    make_corpus(plan, data_of(args, plan), out / "corpus", engine=engine)
    spread(partial(_tune, args), args.processes, max(1, args.threads), out, engine)
    return _told(args)


def _settings(args: argparse.Namespace, plan: Recipe) -> Lora:
    import msgspec

    from training.lm_settings import PRESETS

    how = PRESETS[args.preset] if args.preset else plan.lora
    return how if args.held_out is None else msgspec.structs.replace(how, held_out=args.held_out)


def _tune(args: argparse.Namespace) -> bool:
    """Done by each process; whether this is the first."""
    from accelerate import Accelerator

    from training.bases import end_of_text, open_base
    from training.corpus import load_corpus, make_corpus
    from training.device import pick
    from training.finetune import finetune
    from training.perplexity import rows
    from training.texts import pack

    plan, out = recipe_of(args), out_of(args)
    device = pick(args.threads)
    accelerator = Accelerator(cpu=device.type == "cpu")
    base = open_base(args.base or out / ("recovered" if args.strategy == 2 else "pruned"))
    texts = []
    with accelerator.main_process_first():
        if args.engine == "ray":
            corpus = load_corpus(out / "corpus", plan)
        else:
            corpus = make_corpus(plan, data_of(args, plan), out / "corpus")
        if args.texts:
            end, share = end_of_text(base), plan.pretrain.held_out
            packed = pack(args.texts, base.tokenizer, end, share, out / "recovered-steps")
            texts = rows(packed.held_out, plan.pretrain.context, plan.pretrain.measured)
    finetune(
        base,
        plan,
        _settings(args, plan),
        corpus.examples,
        out,
        accelerator,
        method=args.method,
        texts=texts,
        every_s=args.checkpoint_seconds,
        every=args.checkpoint_steps,
        bf16=args.bf16,
    )
    return bool(accelerator.is_main_process)


def _told(args: argparse.Namespace) -> int:
    import msgspec

    from training.finetune import NOTE, TUNED, Tuned

    plan, out = recipe_of(args), out_of(args)
    for step in range(1, _settings(args, plan).steps + 1):
        told = msgspec.json.decode((out / f"step-{step}" / NOTE).read_bytes(), type=Tuned)
        print(_said(told))
    print(f"{told.parameters:,} parameters in {out / TUNED}")
    return 0


def _said(told: Tuned) -> str:
    said = f"step {told.step}: {told.updates} updates, merged within {told.merge_error:.1e}"
    if told.held_out is not None:
        held = told.held_out
        said += (
            f"; {len(held.people)} people held out, {held.windows} windows: accuracy "
            f"{held.accuracy:.3f}, balanced {held.balanced_accuracy:.3f}, F1 {held.macro_f1:.3f}"
        )
    if told.text is not None:
        said += f"; text perplexity {told.text.perplexity:,.1f}"
    return said
