"""`measure`: what each stage did to a language model, on the same held-out texts and people."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.verbs.options import add_recipe, add_threads, data_of, new_parser, out_of, recipe_of

_TOLD = "perplexity and label accuracy of models, stage by stage, on the same held-out texts and people"
_EXAMPLE = """
examples:
  python -m training measure --recipe smollm2 --texts TEXTS --data ../shared/data/eegmat
  python -m training measure --recipe smollm2 --texts TEXTS --data FOLDER --model build/smollm2/step-1

Without --model: base, pruned, recovered and tuned, those that are in OUT. Writes OUT/stages.json.
Bits a byte can be compared between vocabularies, perplexities a token cannot.
Research use only, not a medical device.
"""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = new_parser(subparsers, "measure", _TOLD, _EXAMPLE)
    add_recipe(parser)
    parser.add_argument(
        "--texts", type=Path, required=True, help="folder of text: its held-out part is asked"
    )
    parser.add_argument("--model", type=Path, action="append", help="only this folder; may be given again")
    add_threads(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:

    from pipeline.whole import as_json, write_whole
    from training.bases import open_base
    from training.corpus import make_corpus
    from training.device import pick
    from training.errors import TrainingError
    from training.finetune import hold_out
    from training.stages import head, held_out_text, line, stage

    plan, out = recipe_of(args), out_of(args)
    device = pick(args.threads)
    stages = [out / name for name in ("base", "pruned", "recovered", "tuned")]
    folders = args.model or [folder for folder in stages if (folder / "config.json").is_file()]
    if not folders:
        raise TrainingError(f"no models in {out}: run prune, pretrain or finetune first, or give --model")
    asked = hold_out(make_corpus(plan, data_of(args, plan), out / "corpus").examples, plan.lora)[1]
    if not asked:
        raise TrainingError("nobody is held out: give held_out in the recipe's [lora]")
    text = held_out_text(args.texts, plan.pretrain)
    rows = []
    print(head())
    for folder in folders:
        base = open_base(folder)
        base.model.to(device)
        rows.append(stage(folder.name, base, plan, text, asked))
        print(line(rows[-1]), flush=True)
    write_whole(out / "stages.json", as_json(rows))
    return 0
