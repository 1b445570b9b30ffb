"""A hospital's own documents: Markdown, text and PDF, cut into passages with file and page as their source.

What they say is data. It is searched and quoted; nothing in it is followed, run or trusted as a citation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import GuidanceError
from pipeline.guidance.cutting import cut, one_line
from pipeline.guidance.entries import load_entries, shipped_entries
from pipeline.guidance.passages import DOCUMENT, Passage
from pipeline.guidance.store import Store

TEXT_ENDINGS = (".md", ".markdown", ".txt", ".text")
PDF_ENDING = ".pdf"
# A thousand pages of text are a few MB, of PDF with pictures some tens; beyond this a file is no guideline.
TEXT_LIMIT = 16 << 20
PDF_LIMIT = 128 << 20
_PAGE_LIMIT = 5000
_NAME_CHARACTERS = 200

# pypdf tells of every irregularity of every file; what cannot be read is refused in one line here.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Indexed:
    """What came of a folder. refused: one line for each file that is not in the index, with the reason."""

    files: int
    passages: int
    refused: tuple[str, ...]


def index_folder(folder: Path, out: Path, progress: Callable[[int, int], None]) -> Indexed:
    """Makes the index anew: the shipped entries and every document of the folder.

    The file appears under its name only when it is whole. progress(done, all): files. Raises GuidanceError
    where the folder or the index cannot be used, or nothing in the folder can be read.
    """
    files = _files(folder, out)
    part = out.with_name(f"{out.name}.part")
    entries = load_entries(shipped_entries())
    passages, refused = 0, []
    try:
        part.unlink(missing_ok=True)
        store = Store.create(part, entries)
        try:
            for done, file in enumerate(files):
                progress(done, len(files))
                try:
                    added = store.add_documents(read(file, folder))
                except GuidanceError as error:
                    refused.append(str(error))
                else:
                    passages += added
            if len(refused) == len(files):
                raise GuidanceError(f"{folder}: nothing to index: {refused[0]}")
            store.seal()
        finally:
            store.close()
        part.replace(out)
    except (OSError, Store.Broken) as error:
        raise GuidanceError(f"{out}: cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    progress(len(files), len(files))
    return Indexed(len(files) - len(refused), passages, tuple(refused))


def read(file: Path, folder: Path) -> list[Passage]:
    """The passages of one document below the folder. Raises GuidanceError where it cannot be read."""
    name = one_line(str(file.relative_to(folder)), _NAME_CHARACTERS)
    try:
        is_pdf = file.suffix.lower() == PDF_ENDING
        limit = PDF_LIMIT if is_pdf else TEXT_LIMIT
        if file.stat().st_size > limit:
            raise GuidanceError(f"{name}: over {limit >> 20} MB: split it, or index the part that is needed")
        pages = _pdf_pages(file, name) if is_pdf else iter([("", _text(file, name))])
        passages = [
            Passage(
                id=f"doc:{name}#{page or 1}.{number}",
                title=f"{one_line(file.stem, 100)}: {heading}" if heading else one_line(file.stem, 100),
                text=text,
                recommendation="",
                kind=DOCUMENT,
                source=f"{name}, page {page}" if page else f"{name}, passage {number}",
                score=0.0,
            )
            for page, content in pages
            for number, (heading, text) in enumerate(cut(content), start=1)
        ]
    except OSError as error:
        raise GuidanceError(f"{name}: cannot be read: {error.strerror or error}") from error
    if not passages:
        raise GuidanceError(f"{name}: holds no text{' (a scan?)' if is_pdf else ''}")
    return passages


def _files(folder: Path, out: Path) -> list[Path]:
    if not folder.is_dir():
        raise GuidanceError(f"{folder}: no such folder")
    if out.is_dir() or not out.parent.is_dir():
        raise GuidanceError(f"{out}: cannot be written: give a file in a folder that exists")
    # Links are left alone: they may lead out of the folder, or round in circles.
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in (*TEXT_ENDINGS, PDF_ENDING) and file.is_file() and not file.is_symlink()
    )
    if not files:
        raise GuidanceError(f"{folder}: no documents: known are {' '.join(TEXT_ENDINGS)} {PDF_ENDING}")
    return files


def _text(file: Path, name: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise GuidanceError(f"{name}: is not UTF-8 text: save it as UTF-8") from error


def _pdf_pages(file: Path, name: str) -> Iterator[tuple[str, str]]:
    """Page number, from 1, and its text."""
    import pypdf  # a tenth of a second that a search need not wait for

    try:
        with pypdf.PdfReader(file) as reader:
            if reader.is_encrypted and not reader.decrypt(""):
                raise GuidanceError(f"{name}: needs a password: save it without one")
            if len(reader.pages) > _PAGE_LIMIT:
                raise GuidanceError(f"{name}: over {_PAGE_LIMIT} pages: split it")
            left = TEXT_LIMIT
            for number, page in enumerate(reader.pages, start=1):
                text = page.extract_text()
                left -= len(text)
                if left < 0:
                    raise GuidanceError(f"{name}: holds over {TEXT_LIMIT >> 20} MB of text: split it")
                yield str(number), text
    except (GuidanceError, OSError):
        raise
    except Exception as error:  # a damaged PDF makes the parser fail in any way there is
        raise GuidanceError(f"{name}: is damaged or no PDF ({type(error).__name__}): save it anew") from error
