"""The models that are compared: weights, graphs and peers' files, made once through `python -m export`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from pipeline.bundle import MODEL, TOKENIZER, Bundle, shipped_bundle
from tests.bench.engines import THREADS
from tests.parts.machine import ROOT, ChildError, environment

METHODS = ("q8", "i8r", "g4")


@dataclass(frozen=True, slots=True)
class Target:
    """A model in all its forms. folder: holds them. weights: as transformers reads them."""

    key: str
    title: str
    folder: Path
    weights: Path

    @property
    def plain(self) -> Path:
        """Folder of Optimum's export."""
        return self.folder / "onnx"

    def graph(self, method: str) -> Path:
        return self.folder / "fused" / f"{method}.onnx"

    @property
    def vocabulary(self) -> int:
        return int(json.loads((self.weights / "config.json").read_text())["vocab_size"])


def prepare(base: str, key: str, title: str, folder: Path, weights: Path | None = None) -> Target:
    """base: as `python -m export base` knows it. weights: where they are there already."""
    target = Target(key, title, folder, weights or folder / "weights")
    if not (target.weights / "config.json").exists():
        _export("base", base, target.weights)
    if not (target.plain / "model.onnx").exists():
        _export("onnx", target.weights, target.plain)
    fused = target.folder / "fused.onnx"
    for method in METHODS:
        if not _current(target.graph(method)):
            if not _current(fused):
                _export("fuse", target.plain / "model.onnx", fused)
            _export("quantize", fused, target.graph(method).parent, "--method", method)
    return target


def _current(graph: Path) -> bool:
    """Not of an export that was another: what is measured is what is there now."""
    changed = max(file.stat().st_mtime for file in (ROOT / "export").glob("*.py"))
    return graph.exists() and graph.stat().st_mtime > changed


def bundle(target: Target, method: str) -> Bundle:
    """A graph as the reader takes it, for windows of the paper's size: 50 codes an electrode.

    Not sealed: of weights that were never trained for labels it is good for measuring alone.
    """
    folder = target.folder / f"bundle-{method}"
    folder.mkdir(exist_ok=True)
    for name, source in ((MODEL, target.graph(method)), (TOKENIZER, target.weights / TOKENIZER)):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(source.resolve())
    shipped = Bundle.load(shipped_bundle()).manifest
    settings = structs.replace(shipped.pipeline, compression="w50-energy")
    return Bundle(folder, structs.replace(shipped, name=target.key, pipeline=settings), "")


def genai(target: Target) -> Path:
    """onnxruntime-genai's own int4 of the weights. Raises ImportError where it is not installed."""
    import onnxruntime_genai  # noqa: F401 (only to know)

    folder, part = target.folder / "genai", target.folder / "genai.part"
    if not folder.exists():
        options = ["-i", target.weights, "-o", part, "-p", "int4", "-e", "cpu"]
        _python("onnxruntime_genai.models.builder", *options, "-c", target.folder / "cache")
        file = part / "genai_config.json"
        config = json.loads(file.read_text())
        config["model"]["decoder"]["session_options"]["intra_op_num_threads"] = THREADS
        file.write_text(json.dumps(config, indent=2))
        part.replace(folder)
    return folder


def _export(*words: object) -> None:
    _python("export", *words)


def _python(module: str, *words: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(HF_HUB_OFFLINE="1"),
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise ChildError(f"{module} {words[0]}: {last}")
