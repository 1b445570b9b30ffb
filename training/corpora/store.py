"""A sitting's examples on disk: plain arrays in one `.npz`, the same bytes whoever makes it.

The archive is what `numpy.savez` writes: no compression, no dates, no pickle, arrays as in `_Arrays`.
`n` examples, `e` electrodes of the montage that the recording has, `c` codes each:

    key        text ()            what it was made from; see `making._key`
    electrodes text (e,)          canonical names
    method     text ()            compression and its version
    codes      uint8 (n, e, c)    0 where the electrode was bad
    flags      uint8 (n, e)       0 for good, else its place in `reasons`, from 1
    reasons    text (r,)          flags of `pipeline.quality`, joined by commas, in order of first use
    label, trial, stimulus        text (n,); empty for none
    index, segment                int64 (n,), of the window's span
    start_s, end_s, start, end    float64 (n,), of the window's span, seconds
    shifted    bool (n,)
    told       text (k,), counted int64 (k,)   what became of all windows
    notes      text (m,)          what had to be left out of the sitting, one line each

Subject and demographics are the manifest's: a sitting's windows do not depend on them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.prompt import Person
from pipeline.records import ChannelQuality, CompressedWindow, Int16, Span
from training.corpora.sitting import CorpusError
from training.corpora.windows import Example

_Text = npt.NDArray[np.str_]
_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class _Arrays:
    key: _Text
    electrodes: _Text
    method: _Text
    codes: _UInt8
    flags: _UInt8
    reasons: _Text
    label: _Text
    trial: _Text
    stimulus: _Text
    index: _Int64
    segment: _Int64
    start_s: _Float64
    end_s: _Float64
    start: _Float64
    end: _Float64
    shifted: npt.NDArray[np.bool_]
    told: _Text
    counted: _Int64
    notes: _Text


def packed(
    key: str,
    electrodes: Sequence[str],
    examples: Sequence[Example],
    told: dict[str, int],
    notes: Sequence[str],
) -> bytes:
    """The archive of one sitting. examples: at least one."""
    windows = [example.window for example in examples]
    codes = np.zeros((len(windows), len(electrodes), windows[0].codes.shape[1]), np.uint8)
    flags = np.zeros(codes.shape[:2], np.uint8)
    reasons: dict[str, int] = {}
    for row, window in enumerate(windows):
        codes[row, window.quality.good] = window.codes
        for electrode in np.flatnonzero(~window.quality.good):
            flags[row, electrode] = reasons.setdefault(window.quality.reasons[electrode], len(reasons) + 1)
    spans = [window.span for window in windows]
    arrays = _Arrays(
        key=np.array(key),
        electrodes=np.array(electrodes),
        method=np.array(windows[0].method),
        codes=codes,
        flags=flags,
        reasons=_text(list(reasons)),
        label=_text([example.label for example in examples]),
        trial=_text([example.trial for example in examples]),
        stimulus=_text([example.stimulus or "" for example in examples]),
        index=np.array([span.index for span in spans], np.int64),
        segment=np.array([span.segment for span in spans], np.int64),
        start_s=np.array([span.start_s for span in spans]),
        end_s=np.array([span.end_s for span in spans]),
        start=np.array([span.start for span in spans]),
        end=np.array([span.end for span in spans]),
        shifted=np.array([example.shifted for example in examples]),
        told=_text(sorted(told)),
        counted=np.array([told[name] for name in sorted(told)], np.int64),
        notes=_text(notes),
    )
    file = BytesIO()
    named = {field.name: getattr(arrays, field.name) for field in fields(_Arrays)}
    np.savez(file, allow_pickle=False, **named)
    return file.getvalue()


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A sitting's examples as read back; the shifted ones apart. told: what became of all windows."""

    key: str
    examples: list[Example]
    shifted: list[Example]
    told: dict[str, int]
    notes: tuple[str, ...]


def unpack(path: Path, subject: str, person: Person) -> Kept:
    """Raises CorpusError, one line, where the file is missing or not whole."""
    try:
        # Opened here, for numpy leaves a file open that turns out to be damaged.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            a = _Arrays(*(file[field.name] for field in fields(_Arrays)))
        if a.codes.ndim != 3 or a.codes.shape != (len(a.label), len(a.electrodes), a.codes.shape[2]):
            raise ValueError("its arrays do not fit each other")
        examples = [_example(a, row, path.stem, subject, person) for row in range(len(a.label))]
    except FileNotFoundError:
        raise CorpusError(f"{path}: missing: run `python -m training corpus` again") from None
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as why:
        raise CorpusError(
            f"{path}: damaged ({str(why).splitlines()[0]}): run `python -m training corpus` again"
        ) from None
    return Kept(
        key=str(a.key),
        examples=[example for example in examples if not example.shifted],
        shifted=[example for example in examples if example.shifted],
        told={str(name): int(count) for name, count in zip(a.told, a.counted, strict=True)},
        notes=tuple(map(str, a.notes)),
    )


def key_of(path: Path) -> str | None:
    """What a sitting's file was made from; None where it is not there or not whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return None
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = [field.name for field in fields(_Arrays)]
            return str(file["key"]) if file.files == names else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _example(a: _Arrays, row: int, sitting: str, subject: str, person: Person) -> Example:
    flags = a.flags[row]
    good = flags == 0
    codes: Int16 = a.codes[row, good].astype(np.int16)
    quality = ChannelQuality(
        good=good,
        reasons=tuple("" if flag == 0 else str(a.reasons[flag - 1]) for flag in flags),
        score=float(good.mean()),
    )
    span = Span(
        index=int(a.index[row]),
        segment=int(a.segment[row]),
        start_s=float(a.start_s[row]),
        end_s=float(a.end_s[row]),
        start=float(a.start[row]),
        end=float(a.end[row]),
        time_uncertainty=0.0,
        arrived=0.0,
    )
    channels = tuple(str(name) for name in a.electrodes[good])
    window = CompressedWindow(codes, channels, str(a.method), span, quality)
    return Example(
        subject=subject,
        person=person,
        label=str(a.label[row]),
        window=window,
        trial=str(a.trial[row]),
        stimulus=str(a.stimulus[row]) or None,
        shifted=bool(a.shifted[row]),
        sitting=sitting,
    )


def _text(words: Sequence[str]) -> _Text:
    # Without a type an empty list would become floats.
    return np.array(list(words), dtype=np.str_)
