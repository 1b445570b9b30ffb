"""Nothing that runs on a node, or reads what others made, unpickles: a pickle is a program."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("pipeline", "daemon", "training", "export")
# Modules that execute what they load, or do so by default.
_MODULES = {"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
_CALLS = {"read_pickle", "to_pickle"}
# FACED is published as pickles, read by an unpickler that knows arrays alone (tests/test_corpus_loaders.py);
# simulated people are written as it is.
_KNOWN = re.compile(r"training/corpora/(faced|simulated)\.py line \d+: imports pickle")
_BUILTINS = {"eval", "exec", "compile", "__import__"}


def faults(source: str) -> Iterator[str]:
    """What is wrong, with its line."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").split(".")[0]}
        else:
            names = set()
        if names & _MODULES:
            yield f"line {line}: imports {', '.join(names & _MODULES)}"
        if isinstance(node, ast.Constant) and node.value in _MODULES:
            yield f"line {line}: names {node.value}"
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if called in _CALLS or getattr(node.func, "id", "") in _BUILTINS:
            yield f"line {line}: calls {called}"
        allowed = given.get("allow_pickle")
        if allowed is not None and not (isinstance(allowed, ast.Constant) and allowed.value is False):
            yield f"line {line}: allow_pickle"
        # numpy.load refuses pickles by default; torch.load has to be told.
        if ast.unparse(node.func) == "torch.load":
            safe = given.get("weights_only")
            if not (isinstance(safe, ast.Constant) and safe.value is True):
                yield f"line {line}: torch.load without weights_only=True"


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_unpickles(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert len(files) > 5
    found = [f"{file.relative_to(ROOT)} {fault}" for file in files for fault in faults(file.read_text())]
    assert [fault for fault in found if not _KNOWN.fullmatch(fault)] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "np.load('x', allow_pickle=maybe)",
        "torch.load('x')",
        "torch.load('x', weights_only=False)",
        "__import__('pickle')",
        "eval('1')",
        "pandas.read_pickle('x')",
    ],
)
def test_the_search_finds(source: str) -> None:
    assert list(faults(source))


def test_the_search_lets_pass() -> None:
    fine = "np.load('x', allow_pickle=False); torch.load('x', weights_only=True); model.eval()"
    assert not list(faults(fine))
