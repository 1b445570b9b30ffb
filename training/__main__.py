"""`python -m training VERB`: from recordings to trained weights and honest figures. Research use only."""

from __future__ import annotations

import argparse
import importlib
import sys

from pipeline.errors import PipelineError
from training.errors import TrainingError

# In the order in which they are used; each is a module of `training.verbs`.
VERBS = (
    "corpus",
    "pretrain",
    "prune",
    "finetune",
    "measure",
    "evaluate",
    "fit",
    "report",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        importlib.import_module(f"training.verbs.{verb}").add(verbs)
    args = parser.parse_args()
    try:
        code: int = args.run(args)
    except (TrainingError, PipelineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
