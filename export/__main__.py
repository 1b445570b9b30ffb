"""`python -m export VERB`: from trained weights to a sealed bundle."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from export.onnx import ExportError
from pipeline.arguments import between
from pipeline.bundle import Bundle
from pipeline.errors import PipelineError
from pipeline.keys import private_key


def main() -> int:
    args = _parser().parse_args()
    try:
        for line in _run(args):
            print(line, flush=True)
    except (ExportError, PipelineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, told: str, **paths: str) -> argparse.ArgumentParser:
        p = verbs.add_parser(name, help=told, description=told)
        for path, help_text in paths.items():
            p.add_argument(path, type=Path, help=help_text)
        return p

    weights = "folder of trained weights, as `python -m training fit` writes it"
    p = verb("base", "write a base model's weights as a folder")
    p.add_argument("which", choices=("smollm2", "paper"), help="SmolLM2-135M, or the paper's pruned shape")
    p.add_argument("out", type=Path, help="folder for the weights")
    verb("onnx", "export trained weights through Optimum", trained=weights, out="folder for the graph")
    verb("fuse", "rewrite to ONNX Runtime's own operators", source="plain graph", target="fused graph")
    p = verb("quantize", "make weights small", source="fused graph", out="folder for METHOD.onnx")
    p.add_argument("--method", action="append", help="q8, q4, g4, int8 or i8r; may be repeated (all)")
    p = verb(
        "compare",
        "all forms against the weights; writes fidelity.json",
        trained=weights,
        graphs="their folder",
    )
    _add_windows(p)
    p = verb(
        "seal",
        "make a bundle: manifest, hashes, model card",
        model="fused graph",
        results=f"{weights}, with recipe.json and evaluation.json",
        provenance="TOML: version, summary, training data and licence",
        out="the bundle's folder",
    )
    p.add_argument("--key", type=Path, help="sign the bundle with this private key (see `eeg-copilot key`)")
    p = verb(
        "trial",
        "a bundle for measurements of speed: it never says a label",
        trained=weights,
        out="its folder",
    )
    p.add_argument("--method", default="q8", help="quantisation (default: q8)")
    p = verb("embedder", "all-MiniLM-L6-v2 to ONNX, for search by meaning", out="folder for the embedder")
    p.add_argument("--weights", type=Path, help="their folder (default: the installed package's)")
    p = verb("verify", "does a bundle say what its weights say? fails if not", bundle="the bundle's folder")
    p.add_argument("--trained", type=Path, help=f"compare step by step with the {weights}")
    _add_windows(p)
    return parser


def _add_windows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="folder of eegmat, for real windows (default: random ones)")
    parser.add_argument("--windows", type=between(1), help="how many (default: by the size of the model)")


def _run(args: argparse.Namespace) -> Iterator[str]:
    # Each verb loads only what it needs: torch and onnx take seconds.
    match args.verb:
        case "base":
            from export.paper_shape import save_paper_shape
            from export.smollm2 import save_smollm2

            yield str(save_smollm2(args.out) if args.which == "smollm2" else save_paper_shape(args.out))
        case "onnx":
            from export.onnx import export_onnx

            yield str(export_onnx(args.trained, args.out))
        case "fuse":
            from export.fuse import fuse

            fuse(args.source, args.target)
            yield str(args.target)
        case "quantize":
            from export.quantize import METHODS, quantize

            for method in args.method or METHODS:
                target = args.out / f"{method}.onnx"
                quantize(args.source, target, method)
                yield f"{target}: {target.stat().st_size / 1e6:.2f} MB"
        case "compare":
            from export.compare import compare_all, fastest, table

            yield table()
            rows = []
            for row in compare_all(args.trained, args.graphs, args.data, args.windows):
                rows.append(row)
                yield table(row)
            yield f"fastest within the bounds and with results of its own: {fastest(rows)}"
        case "seal":
            from export.seal import Provenance, seal

            try:
                provenance = msgspec.convert(tomllib.loads(args.provenance.read_text()), Provenance)
            except msgspec.ValidationError as error:
                raise ExportError(f"{args.provenance}: {error}") from error
            key = private_key(args.key) if args.key else None
            bundle = seal(args.model, args.results, provenance, args.out, key)
            yield f"{bundle.id} in {bundle.path}, sha256 {bundle.sha256[:12]}"
        case "trial":
            from export.trial import trial

            yield str(trial(args.trained, args.out, args.method).path)
        case "embedder":
            from export.embedder import export_embedder

            yield str(export_embedder(args.out, args.weights))
        case _:
            yield from _verify(args)


def _verify(args: argparse.Namespace) -> Iterator[str]:
    from export.compare import table
    from export.verify import verify_carried, verify_steps

    bundle = Bundle.load(args.bundle)
    carried = verify_carried(bundle)
    yield f"{bundle.id}: " + msgspec.json.encode(carried).decode()
    if args.trained is None:
        if args.data is not None:
            raise ExportError("--data needs the weights to compare with: give --trained")
        return
    yield table()
    for row in verify_steps(bundle, args.trained, args.data, args.windows):
        yield table(row)


if __name__ == "__main__":
    sys.exit(main())
