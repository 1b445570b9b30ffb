"""`eeg-copilot guidance index|search|check`"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

from daemon import bar
from daemon.cli import DONE, FAILED, NOTICE
from daemon.guides import guide, meaning
from pipeline.guidance import Guidance
from pipeline.guidance.entries import load_entries, shipped_entries

_WIDTH = 100
_SHOWN_REFUSALS = 20


def run(options: argparse.Namespace) -> int:
    match options.what:
        case "index":
            return _index(options)
        case "search":
            return _search(options)
        case _:
            return _check(Path(options.folder) if options.folder else shipped_entries())


def _index(options: argparse.Namespace) -> int:
    from pipeline.guidance.documents import index_folder

    out = Path(options.out)
    indexed = index_folder(Path(options.folder), out, bar.show)
    for line in indexed.refused[:_SHOWN_REFUSALS]:
        print(f"eeg-copilot: not indexed: {line}", file=sys.stderr)
    if len(indexed.refused) > _SHOWN_REFUSALS:
        print(f"eeg-copilot: and {len(indexed.refused) - _SHOWN_REFUSALS} more not indexed", file=sys.stderr)
    print(f"{out}: {indexed.passages} passages of {indexed.files} documents, {len(indexed.refused)} refused")
    if options.dense:
        with Guidance.open(out) as guidance:
            meaning(guidance, Path(options.embedder), out, bar.show, anew=True).close()
    return FAILED if indexed.refused else DONE


def _search(options: argparse.Namespace) -> int:
    index = Path(options.index) if options.index else None
    embedder = Path(options.embedder) if options.dense else None
    with guide(index, embedder, bar.show) as guidance:
        found = guidance.search(options.question, options.number)
    for passage in found:
        print(f"[{passage.id}] {passage.title} ({passage.kind})")
        for text in (passage.text, passage.recommendation and f"→ {passage.recommendation}"):
            if text:
                print(textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  "))
        print(
            textwrap.fill(passage.source, _WIDTH, initial_indent="  — ", subsequent_indent="    "), end="\n\n"
        )
    if not found:
        print("Nothing found.")
    print(NOTICE, file=sys.stderr)
    return DONE if found else FAILED


def _check(folder: Path) -> int:
    entries = load_entries(folder)
    kinds = [entry.kind for entry in entries]
    told = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
    print(f"{folder}: {len(entries)} entries are good: {told}")
    return DONE
