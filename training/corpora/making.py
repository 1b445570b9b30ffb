"""Sittings to files, several at once; what is there and whole is not made again."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import msgspec
from tqdm import tqdm

from pipeline import montage
from pipeline.errors import PipelineError
from training.corpora import manifest, store
from training.corpora.sitting import CorpusError, Sitting
from training.corpora.windows import label_windows
from training.whole import write_whole

_BLOCK = 1 << 20


def make_all(
    found: Sequence[Sitting], made: manifest.Made, folder: Path, jobs: int, progress: bool
) -> tuple[manifest.Kept, ...]:
    """One file a sitting in `folder`, in the order of `found`. jobs: worker processes, 0 for one a core.

    The first sitting that cannot be read stops it; those done stay. Raises CorpusError, one line.
    """
    jobs = min(jobs or len(os.sched_getaffinity(0)), len(found))
    title = f"corpus {made.recipe}" + (f", {made.montage}" if made.montage else "")
    bar = tqdm(total=len(found), desc=title, unit="sitting", disable=not progress)
    kept: dict[str, manifest.Kept] = {}
    with bar:
        for one in _one_by_one(found, made, folder) if jobs == 1 else _at_once(found, made, folder, jobs):
            kept[one.name] = one
            bar.update()
    return tuple(kept[sitting.name] for sitting in found)


def _one_by_one(found: Sequence[Sitting], made: manifest.Made, folder: Path) -> Iterator[manifest.Kept]:
    for sitting in found:
        yield make_one(sitting, made, folder)


def _at_once(
    found: Sequence[Sitting], made: manifest.Made, folder: Path, jobs: int
) -> Iterator[manifest.Kept]:
    # Forked children would inherit locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            for done in as_completed([pool.submit(make_one, sitting, made, folder) for sitting in found]):
                yield done.result()
        except BrokenProcessPool:
            raise CorpusError(
                "a worker process was ended from outside, perhaps for want of memory: "
                "run the same command again with fewer --jobs"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """A pool's workers outlive a parent that was killed, and would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only for workers"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def make_one(sitting: Sitting, made: manifest.Made, folder: Path) -> manifest.Kept:
    """Raises CorpusError, one line that names the sitting."""
    path = folder / f"{sitting.name}.npz"
    try:
        key = _key(sitting, made)
        if store.key_of(path) != key:
            write_whole(path, _content(sitting, made, key))
        kept = store.unpack(path, sitting.subject, sitting.person)
        return manifest.Kept(
            name=sitting.name,
            subject=sitting.subject,
            age=sitting.person.age,
            gender=sitting.person.gender,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            told=kept.told,
            notes=kept.notes,
        )
    except PipelineError as why:
        raise CorpusError(f"{sitting.name}: {why}") from None
    except OSError as why:
        name = why.filename or path
        raise CorpusError(f"{name}: cannot be read: {why.strerror or why}") from None
    except MemoryError:
        raise CorpusError(f"{sitting.name}: does not fit into memory: use fewer --jobs") from None


def _content(sitting: Sitting, made: manifest.Made, key: str) -> bytes:
    playlist = sitting.read()
    settings = made.pipeline
    told: Counter[str] = Counter()
    examples = list(label_windows(sitting, playlist, settings, told=told))
    for shift in made.corpus.shifts:
        examples += label_windows(sitting, playlist, settings, shift)
    if not examples:
        fate = ", ".join(f"{count} {name}" for name, count in sorted(told.items())) or "none long enough"
        raise CorpusError(f"{sitting.name}: not one window can be used ({fate}): leave this sitting out")
    for example in examples:
        if example.label not in made.labels:
            raise CorpusError(
                f"{sitting.name}: shows {example.label!r}, which is not among the recipe's labels: "
                f"{', '.join(made.labels)}"
            )
    channels = playlist.recordings[0].channels
    electrodes = [name for _, name in montage.match(channels, settings.montage, settings.min_channels)]
    return store.packed(key, electrodes, examples, told, playlist.notes)


def _key(sitting: Sitting, made: manifest.Made) -> str:
    """sha256 over all that decides the file: settings, the sitting's name and the bytes it is read from."""
    whole = hashlib.sha256(msgspec.json.encode((made, sitting.name)))
    for file in sitting.files:
        part = hashlib.sha256()
        with file.open("rb") as opened:
            while block := opened.read(_BLOCK):
                part.update(block)
        whole.update(part.digest())
    return whole.hexdigest()
