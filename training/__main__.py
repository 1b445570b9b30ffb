"""`python -m training VERB`: from recordings to trained weights and honest figures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from training.errors import TrainingError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    told = {
        "evaluate": "cross-validate over people: the model and an SVM on the same codes, in the same folds",
        "pretrain": "train tokenizer and model from scratch on everybody, for shipping",
    }
    for verb, help_text in told.items():
        p = verbs.add_parser(verb, help=help_text, description=help_text)
        p.add_argument(
            "--recipe", default="eegmat", help="name of a shipped recipe or a TOML file (default: eegmat)"
        )
        p.add_argument("--data", type=Path, required=True, help="folder of the recordings")
        p.add_argument("--out", type=Path, required=True, help="folder for the results")
        p.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's choice)")
    args = parser.parse_args()
    try:
        return _run(args)
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(args: argparse.Namespace) -> int:
    # Late, so that --help does not wait for torch.
    import torch
    from tqdm import tqdm

    from pipeline.settings import PipelineSettings
    from training import corpus, recipe, tokenizer
    from training.evaluate import cross_validate
    from training.fit import fit

    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    plan = recipe.load(args.recipe)
    words = tokenizer.train(plan.labels)
    sittings = corpus.sittings(plan, args.data)

    def examples(what: str, settings: PipelineSettings) -> list[corpus.Example]:
        people = tqdm(sittings, desc=what, unit="person")
        return [example for sitting in people for example in corpus.examples(sitting, settings)]

    windows = examples("recordings", plan.pipeline)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.verb == "evaluate":
        small = {
            name: examples(name, msgspec.structs.replace(plan.pipeline, montage=electrodes))
            for name, electrodes in plan.montages.items()
        }
        found = cross_validate(plan, words, windows, small, device)
        (args.out / "evaluation.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        print(
            f"{found.people} people held out in {found.folds} folds, {found.windows} windows: "
            f"macro-F1 {found.model.macro_f1:.3f} [{found.model.low:.3f}, {found.model.high:.3f}], "
            f"SVM-RBF {found.svm.macro_f1:.3f} [{found.svm.low:.3f}, {found.svm.high:.3f}]"
        )
    else:
        model = fit(plan, words, windows, device, "everybody")
        model.save_pretrained(args.out)
        words.save(str(args.out / "tokenizer.json"))
        (args.out / "recipe.json").write_bytes(msgspec.json.encode(plan))
        print(f"{sum(p.numel() for p in model.parameters()):,} parameters in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
