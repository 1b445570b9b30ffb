"""`fit`: the recipe's small model from scratch on everybody, for shipping."""

from __future__ import annotations

import argparse

from training.verbs.options import add_recipe, add_threads, data_of, new_parser, out_of, recipe_of

_TOLD = "train the recipe's small model and its tokenizer from scratch on everybody, for shipping"
_EXAMPLE = """
example:
  python -m training fit --recipe eegmat --data ../shared/data/eegmat

These weights have no held-out figure of their own: `evaluate` trains the same model anew in each fold.
"""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = new_parser(subparsers, "fit", _TOLD, _EXAMPLE)
    add_recipe(parser)
    add_threads(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    # Late, so that --help does not wait for torch.
    import msgspec

    from pipeline.whole import write_whole
    from training import tokenizer
    from training.corpus import make_corpus
    from training.device import pick
    from training.fit import fit

    plan, out = recipe_of(args), out_of(args)
    device = pick(args.threads)
    corpus = make_corpus(plan, data_of(args, plan), out / "corpus")
    words = tokenizer.train(plan.labels)
    model = fit(plan, words, [*corpus.examples, *corpus.shifted], device, "everybody")
    model.save_pretrained(out)
    words.save(str(out / "tokenizer.json"))
    write_whole(out / "recipe.json", msgspec.json.encode(plan))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters in {out}")
    return 0
