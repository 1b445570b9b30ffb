"""`python -m export VERB`: from trained weights to a sealed bundle."""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path

import msgspec

from export.onnx import ExportError
from pipeline.bundle import Bundle
from pipeline.errors import BundleError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    onnx = verbs.add_parser("onnx", help="export trained weights through Optimum")
    onnx.add_argument("trained", type=Path, help="folder written by `python -m training pretrain`")
    onnx.add_argument("out", type=Path, help="folder for the graph")
    quantize = verbs.add_parser("quantize", help="weights to 8-bit blocks")
    quantize.add_argument("source", type=Path, help="float32 graph")
    quantize.add_argument("target", type=Path, help="quantised graph")
    seal = verbs.add_parser("seal", help="make a bundle: manifest, hashes, model card")
    seal.add_argument("model", type=Path, help="quantised graph")
    seal.add_argument(
        "results", type=Path, help="folder with recipe.json, evaluation.json and tokenizer.json"
    )
    seal.add_argument("provenance", type=Path, help="TOML: version, summary, training data and licence")
    seal.add_argument("out", type=Path, help="the bundle's folder")
    verify = verbs.add_parser(
        "verify", help="compare a bundle with the weights it came from; fails if they part"
    )
    verify.add_argument("bundle", type=Path)
    verify.add_argument("trained", type=Path, help="folder written by `python -m training pretrain`")
    args = parser.parse_args()
    try:
        print(_run(args))
    except (ExportError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(args: argparse.Namespace) -> str:
    # Each verb loads only what it needs: torch and onnx take seconds.
    match args.verb:
        case "onnx":
            from export.onnx import export_onnx

            return str(export_onnx(args.trained, args.out))
        case "quantize":
            from export.quantize import quantize

            quantize(args.source, args.target)
            return f"{args.target}: {args.target.stat().st_size / 1e6:.2f} MB"
        case "seal":
            from export.quantize import NAME
            from export.seal import Provenance, seal

            told = {"quantisation": NAME, **tomllib.loads(args.provenance.read_text())}
            try:
                provenance = msgspec.convert(told, Provenance)
            except msgspec.ValidationError as error:
                raise ExportError(f"{args.provenance}: {error}") from error
            bundle = seal(args.model, args.results, provenance, args.out)
            return f"{bundle.id} in {bundle.path}, sha256 {bundle.sha256[:12]}"
        case _:
            from export.verify import verify

            return msgspec.json.encode(verify(Bundle.load(args.bundle), args.trained)).decode()


if __name__ == "__main__":
    sys.exit(main())
