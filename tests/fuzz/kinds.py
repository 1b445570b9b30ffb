"""Everything here that reads what others wrote: valid examples, and the parser with its refusal."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from daemon.config import load_config
from daemon.decoding import decode
from daemon.errors import ConfigError
from pipeline.bundle import MANIFEST, Bundle, shipped_bundle
from pipeline.drafts.context import ContextError, read_context
from pipeline.errors import BundleError, GuidanceError
from pipeline.guidance import documents
from pipeline.guidance.entries import load_entries, shipped_entries
from tests.fuzz import commands, lsl, recordings
from tests.fuzz.mutation import as_json, mutated, noise, reshaped
from tests.parts.machine import ROOT

_CONTEXT: dict[str, Any] = {
    "subject": "pseudo-7f3a",
    "age": 41,
    "gender": "female",
    "complaint": "tense for 3 weeks",
    "history": ["appendectomy in 2011", "migraine"],
    "medication": [{"name": "Ibuprofen", "dose": "400 mg as needed", "since": "2025-03-01"}],
    "allergies": ["penicillin"],
    "laboratory": [{"name": "TSH", "value": "2.1", "unit": "mU/l", "date": "2025-11-02"}],
    "expenses": [{"item": "EEG", "amount": 85.5, "currency": "EUR"}],
}


Parser = Callable[[Path], AbstractContextManager[Callable[[bytes], object]]]


@dataclass(frozen=True)
class Kind:
    """inputs: mutations of examples. parser: what it gives raises `refusal`, or takes. Both get a folder."""

    inputs: Callable[[Path], SearchStrategy[bytes]]
    parser: Parser
    refusal: type[Exception]


def _bytes(examples: Callable[[Path], Sequence[bytes]]) -> Callable[[Path], SearchStrategy[bytes]]:
    return lambda folder: st.one_of(mutated(made := examples(folder)), mutated(made), mutated(made), noise())


def _tree(trees: Sequence[Any], dump: Callable[[Any], bytes]) -> Callable[[Path], SearchStrategy[bytes]]:
    """Half of them with another structure, the others with other bytes."""
    return lambda folder: st.one_of(
        reshaped(trees, dump), reshaped(trees, dump), mutated([dump(tree) for tree in trees]), noise()
    )


def _toml(tree: Any) -> bytes:
    return tomli_w.dumps(tree).encode("utf-8", "surrogatepass")


def _plain(parse: Callable[[bytes], object]) -> Parser:
    return lambda folder: nullcontext(parse)


def _file(name: str, read: Callable[[Path], object]) -> Parser:
    """The input as a file of this name."""

    def parser(folder: Path) -> AbstractContextManager[Callable[[bytes], object]]:
        def parse(raw: bytes) -> object:
            (folder / name).write_bytes(raw)
            return read(folder / name)

        return nullcontext(parse)

    return parser


def _bundle(folder: Path) -> AbstractContextManager[Callable[[bytes], object]]:
    shutil.copytree(shipped_bundle(), folder / "bundle")
    return _file(MANIFEST, lambda manifest: Bundle.load(manifest.parent))(folder / "bundle")


def _markers(folder: Path) -> AbstractContextManager[Callable[[bytes], object]]:
    return _file("m.vmrk", lambda marker: recordings.open_and_check(folder / "m.vhdr"))(folder)


def _recording(examples: Callable[[Path], Sequence[bytes]], name: str) -> Kind:
    return Kind(_bytes(examples), _file(name, recordings.open_and_check), recordings.REFUSAL)


def _config() -> dict[str, Any]:
    """The sample, and what it does not show."""
    sample = tomllib.loads((ROOT / "systemd" / "eeg-copilot.toml").read_text())
    lsl_stream = {"name": "bed-2", "source": {"kind": "lsl", "name": "x", "channels": ["Fp1"], "rate": 250.0}}
    board = {
        "name": "bed-3",
        "age": 41,
        "source": {"kind": "brainflow", "board": "cyton", "serial_port": "/x"},
    }
    file = {"name": "bed-4", "source": {"kind": "recording", "files": ["a.edf"], "speed": 0.0}}
    return sample | {
        "stream": [*sample["stream"], lsl_stream, board, file],
        "log": {"level": "info", "format": "auto"},
        "state": {"directory": "state", "keep_sent_days": 3.0, "max_waiting": 1000},
    }


KINDS: dict[str, Kind] = {
    "config": Kind(
        _tree([_config()], _toml),
        _file("eeg-copilot.toml", lambda file: load_config(file).fingerprint()),
        ConfigError,
    ),
    "command": Kind(
        lambda folder: st.one_of(
            *(_tree([one], as_json)(folder) for one in commands.EXAMPLES.values()),
        ),
        commands.parser,
        commands.RefusedError,
    ),
    "signed-command": Kind(
        lambda folder: st.one_of(
            mutated([commands.sealed()]),
            reshaped([msgspec.json.decode(commands.sealed())], as_json),
            mutated([as_json(one) for one in commands.EXAMPLES.values()]).map(commands.sealed),
        ),
        commands.signed_parser,
        commands.RefusedError,
    ),
    "context": Kind(_tree([_CONTEXT], as_json), _plain(read_context), ContextError),
    "message": Kind(_tree(commands.MESSAGES, as_json), _plain(decode), msgspec.DecodeError),
    "manifest": Kind(
        _tree([tomllib.loads((shipped_bundle() / MANIFEST).read_text())], _toml), _bundle, BundleError
    ),
    "edf": _recording(recordings.edf, "a.edf"),
    "bdf": _recording(recordings.bdf, "a.bdf"),
    "xdf": _recording(recordings.xdf, "a.xdf"),
    "brainvision": _recording(recordings.brainvision, "a.vhdr"),
    "brainvision-markers": Kind(_bytes(recordings.markers), _markers, recordings.REFUSAL),
    "csv": _recording(recordings.csv, "a.csv"),
    "lsl": Kind(_bytes(lsl.examples), _plain(lsl.describe_and_check), lsl.REFUSAL),
    "guidance-entries": Kind(
        _tree([tomllib.loads(file.read_text()) for file in sorted(shipped_entries().glob("s*.toml"))], _toml),
        _file("a.toml", lambda file: load_entries(file.parent)),
        GuidanceError,
    ),
    "guidance-text": Kind(
        _bytes(lambda folder: [(ROOT / "README.md").read_bytes()]),
        _file("a.md", lambda file: documents.read(file, file.parent)),
        GuidanceError,
    ),
    "guidance-pdf": Kind(
        _bytes(lambda folder: [_pdf()]),
        _file("a.pdf", lambda file: documents.read(file, file.parent)),
        GuidanceError,
    ),
}


def _pdf() -> bytes:
    from io import BytesIO

    from reportlab.pdfgen.canvas import Canvas

    out = BytesIO()
    canvas = Canvas(out)
    for page in range(2):
        canvas.drawString(72, 720, f"Page {page}: rest helps people who sleep badly, said the guideline.")
        canvas.showPage()
    canvas.save()
    return out.getvalue()
