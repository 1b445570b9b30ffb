"""Public text from a folder, as documents, then as rows of tokens in one file on disk.

Read are `.txt`, `.md`, `.rst`, `.text` and Wikitext's `.tokens`; `.jsonl` with a field `text`; Common Crawl's
`.wet`; names without an ending; each also as `.gz`. A file is streamed, never held whole. Which documents are
held out is decided by their content, so that no copy of one is trained on; copies count once.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from tqdm import tqdm

from pipeline.whole import read_json, whole, write_whole
from training.errors import TrainingError

PLAIN = (".txt", ".md", ".rst", ".text", ".tokens")
_READ = (*PLAIN, ".jsonl", ".wet", "")
# Longer texts are cut at an empty line, so that part of a book can be held out.
_DOCUMENT = 65_536
# Shorter ones say nothing.
_SHORTEST = 64
_WIKI_TITLE = re.compile(r"^ = [^=].* = $")


class Tokens(msgspec.Struct, frozen=True):
    """`tokens.json`: what the token files beside it were made of."""

    fingerprint: str
    """Of the texts' names and sizes, the tokenizer and the share held out."""
    documents: int
    copies: int
    """Left out: the same as an earlier document."""
    train: int
    held_out: int
    """Tokens."""
    held_out_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Tokens of all documents in a row, each ended by the end token: uint32, read from disk as needed."""

    train: npt.NDArray[np.uint32]
    held_out: npt.NDArray[np.uint32]
    told: Tokens


def documents(folder: Path) -> Iterator[str]:
    """Of all files under a folder, or of one file, by name. Raises TrainingError where there are none."""
    found = 0
    for path in files(folder):
        try:
            with _open(path) as lines:
                for text in _documents(path, lines):
                    if len(text) >= _SHORTEST:
                        found += 1
                        yield text
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as why:
            if isinstance(why, UnicodeDecodeError) and _suffix(path) == "":
                continue  # a binary file without an ending
            raise TrainingError(f"{path}: cannot be read: {why}: repair or remove it") from None
    if not found:
        raise TrainingError(
            f"{folder}: no text there: give a folder of {', '.join(s for s in _READ if s)} files, also as .gz"
        )


def files(folder: Path) -> list[Path]:
    if not folder.exists():
        raise TrainingError(f"{folder}: no such folder of texts")
    if folder.is_file():
        return [folder]
    return sorted(path for path in folder.rglob("*") if path.is_file() and _suffix(path) in _READ)


def fingerprint(folder: Path, *more: str) -> str:
    told = [(str(path.relative_to(folder)), path.stat().st_size) for path in files(folder)]
    return hashlib.sha256(json.dumps([told, more]).encode()).hexdigest()


def pack(folder: Path, tokenizer: Tokenizer, end: int, held_out: float, out: Path) -> Packed:
    """Writes the tokens once; a second call reads them. Raises TrainingError."""
    mark = fingerprint(folder, tokenizer.to_str(), str(held_out))
    told = read_json(out / "tokens.json", Tokens)
    if told is None or told.fingerprint != mark:
        told = _write(documents(folder), tokenizer, end, held_out, out, mark)
    if not told.train or not told.held_out:
        raise TrainingError(f"{folder}: too little text to hold a part out: give more, or a larger held_out")
    return Packed(_read(out / "train.tokens"), _read(out / "held-out.tokens"), told)


def is_held_out(text: str, share: float) -> bool:
    """By the document's content, whatever the tokenizer: every stage of a model is asked the same texts."""
    return int.from_bytes(_digest(text)) / 2**64 < share


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _write(
    texts: Iterable[str], tokenizer: Tokenizer, end: int, held_out: float, out: Path, mark: str
) -> Tokens:
    seen: set[bytes] = set()
    count = {"documents": 0, "copies": 0, "train": 0, "held_out": 0, "held_out_bytes": 0}
    with whole(out / "train.tokens") as train, whole(out / "held-out.tokens") as aside:
        for text in tqdm(texts, desc="tokens", unit="text", mininterval=1.0):
            digest = _digest(text)
            count["documents"] += 1
            if digest in seen:
                count["copies"] += 1
                continue
            seen.add(digest)
            ids = np.array([*tokenizer.encode(text, add_special_tokens=False).ids, end], dtype=np.uint32)
            if is_held_out(text, held_out):
                count["held_out"] += len(ids)
                count["held_out_bytes"] += len(text.encode())
                aside.write(ids.tobytes())
            else:
                count["train"] += len(ids)
                train.write(ids.tobytes())
    told = Tokens(fingerprint=mark, **count)
    write_whole(out / "tokens.json", msgspec.json.encode(told))
    return told


def _read(path: Path) -> npt.NDArray[np.uint32]:
    return np.memmap(path, dtype=np.uint32, mode="r") if path.stat().st_size else np.zeros(0, np.uint32)


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    # A file without an ending may be anything; the others are taken for what they say.
    return path.open(encoding="utf-8", errors="replace" if _suffix(path) else "strict")


def _documents(path: Path, lines: IO[str]) -> Iterator[str]:
    match _suffix(path):
        case ".jsonl":
            return _json_lines(path, lines)
        case ".wet":
            return _records(lines)
        case _:
            return _stretches(lines)


def _json_lines(path: Path, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError):
            text = None
        if not isinstance(text, str):
            raise TrainingError(f"{path}: line {number} is no JSON object with a text field")
        yield from _stretches(text.splitlines(keepends=True))


def _records(lines: Iterable[str]) -> Iterator[str]:
    """Common Crawl's WET: a block of headers, an empty line, the text of one page."""
    text: list[str] = []
    header, wanted = True, False
    for line in lines:
        if line.startswith("WARC/1."):
            yield from _stretches(text)
            text, header, wanted = [], True, False
        elif header:
            wanted = wanted or line.strip() == "WARC-Type: conversion"
            header = bool(line.strip())
        elif wanted:
            text.append(line)
    yield from _stretches(text)


def _stretches(lines: Iterable[str]) -> Iterator[str]:
    """Cut at Wikitext's titles, and at empty lines where a text grows long."""
    held: list[str] = []
    size = 0
    for line in lines:
        if held and (
            _WIKI_TITLE.match(line.rstrip("\n"))
            or (size > _DOCUMENT and not line.strip())
            or size > 2 * _DOCUMENT
        ):
            yield "".join(held)
            held, size = [], 0
        held.append(line)
        size += len(line)
    if held:
        yield "".join(held)
