"""`finetune`: a language model on prompts from recordings."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.verbs.options import add_recipe, add_steps, data_of, new_parser, out_of, recipe_of

_TOLD = "tune a language model on the corpus's prompts: LoRA, all weights, or a small model from scratch"
_EXAMPLE = """
examples:
  python -m training finetune --recipe smollm2 --data ../shared/data/eegmat --strategy 2
  python -m training finetune --base FOLDER --data ../shared/data/eegmat --preset paper
  python -m training finetune --recipe eegmat --data ../shared/data/eegmat --method scratch
  accelerate launch --num_processes 4 -m training finetune --base FOLDER --data FOLDER

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
        "--held-out", type=int, metavar="N", help="people to measure on and not to learn from"
    )
    parser.add_argument("--texts", type=Path, help="also tell the perplexity on held-out text of this folder")
    add_steps(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.method == "scratch":
        from training.verbs import fit

        return fit.run(args)
    import msgspec
    from accelerate import Accelerator

    from training.bases import end_of_text, open_base
    from training.corpus import make_corpus
    from training.device import pick
    from training.finetune import TUNED, finetune
    from training.lm_settings import PRESETS
    from training.perplexity import rows
    from training.texts import pack

    plan, out = recipe_of(args), out_of(args)
    how = PRESETS[args.preset] if args.preset else plan.lora
    if args.held_out is not None:
        how = msgspec.structs.replace(how, held_out=args.held_out)
    device = pick(args.threads)
    accelerator = Accelerator(cpu=device.type == "cpu")
    base = open_base(args.base or out / ("recovered" if args.strategy == 2 else "pruned"))
    texts = []
    with accelerator.main_process_first():
        corpus = make_corpus(plan, data_of(args, plan), out / "corpus")
        if args.texts:
            end, share = end_of_text(base), plan.pretrain.held_out
            packed = pack(args.texts, base.tokenizer, end, share, out / "recovered-steps")
            texts = rows(packed.held_out, plan.pretrain.context, plan.pretrain.measured)
    found = finetune(
        base,
        plan,
        how,
        corpus.examples,
        out,
        accelerator,
        method=args.method,
        texts=texts,
        every_s=args.checkpoint_seconds,
        every=args.checkpoint_steps,
        bf16=args.bf16,
    )
    if accelerator.is_main_process:
        for told in found:
            said = f"step {told.step}: {told.updates} updates, merged within {told.merge_error:.1e}"
            if told.held_out is not None:
                held = told.held_out
                said += (
                    f"; {len(held.people)} people held out, {held.windows} windows: accuracy "
                    f"{held.accuracy:.3f}, balanced {held.balanced_accuracy:.3f}, F1 {held.macro_f1:.3f}"
                )
            if told.text is not None:
                said += f"; text perplexity {told.text.perplexity:,.1f}"
            print(said)
        print(f"{found[-1].parameters:,} parameters in {out / TUNED}")
    return 0
