"""FACED as its authors processed it: a pickle a person, (28 clips, 32 channels, 7500 samples) at 250 Hz.

What is known from where: shape, rate, length and order of the clips from the data set's
Dataset_description.md; the files' names, `Processed_data/sub000.pkl` to `sub122.pkl`, their float64 and the
order of the channels, two references last, from public code that reads them (some of it calls the
references A1 and A2, some HEOR and HEOL; they are left out here). Recording_info.csv tells a unit for each
person, V or µV, and readers disagree whether the processed form still differs; so the unit is judged by
size, which is unmistakable at a factor of a million. The files themselves were not at hand when this was
written: what is tested is files made in this layout.

The processed form has lost the order in which a person saw the clips; they are played by number.
"""

from __future__ import annotations

import pickle  # nosec B403 (through `_ArraysOnly` below)
import re
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.prompt import Person
from pipeline.recordings import Recording, Segment
from pipeline.records import Float32
from training.corpora import clips
from training.corpora.settings import Faced
from training.corpora.sitting import CorpusError, Playlist, Sitting

RATE = 250.0
_FOLDERS = ("", "Processed_data", "Processed_Data")
_NAME = re.compile(r"sub\d{3}\.pkl")
# Median over channels of the spread between neighbouring samples at 250 Hz, µV. Scalp EEG has about 1 to 10.
_STEP_UV = (0.02, 2000.0)
_VOLT = 1e6
# Far more than the largest array there is, float64.
_LARGEST = 1 << 28


def sittings(settings: Faced, folder: Path, calibration: float) -> list[Sitting]:
    """One of everybody whose file is there. Raises CorpusError, one line."""
    clips.check_rest(settings.rest, clips.CLIP_SECONDS, calibration)
    within = next((path for path in (folder / n for n in _FOLDERS) if any(path.glob("sub*.pkl"))), None)
    if within is None:
        raise CorpusError(
            f"{folder}: no subNNN.pkl here: give the folder of FACED, or its Processed_data; "
            "for recordings as they were made use a recipe of kind faced-raw"
        )
    known = clips.people(within, settings.people)
    samples = round(clips.CLIP_SECONDS * RATE)
    found = []
    for path in sorted(within.glob("sub*.pkl")):
        if not _NAME.fullmatch(path.name):
            raise CorpusError(f"{path}: is called neither sub000.pkl nor alike: rename or remove it")
        read = partial(read_person, path, samples, settings.rest, settings.classes)
        found.append(Sitting(path.stem, path.stem, known.get(path.stem, Person()), (path,), read))
    return found


def read_person(path: Path, samples: int, rest: tuple[int, ...], classes: int) -> Playlist:
    """One person's clips as recordings. samples: of a clip. Raises CorpusError, one line."""
    array = load_array(path)
    wanted = (len(clips.EMOTIONS), len(clips.CHANNELS) + clips.N_REFERENCES, samples)
    if array.shape != wanted:
        raise CorpusError(
            f"{path}: has the shape {array.shape}, FACED's is {wanted} (clips, channels, samples)"
        )
    array = array[:, : len(clips.CHANNELS)]
    if not np.isfinite(array).all():
        clip, channel, _ = np.argwhere(~np.isfinite(array))[0]
        raise CorpusError(
            f"{path}: clip {clip + 1}, {clips.CHANNELS[channel]}: holds what is no number: "
            "take the file from its source again"
        )
    data = (array * microvolts(array, RATE, path)).astype(np.float32)
    recordings = {
        clip + 1: Recording(path, clips.CHANNELS, RATE, (Segment(one, 0.0),), start_utc=None)
        for clip, one in enumerate(data)
    }
    return clips.playlist(recordings, rest, classes)


def microvolts(data: npt.NDArray[np.floating[Any]] | Float32, rate: float, path: Path) -> float:
    """Factor to µV, judged by size: EEG in volts is a million times smaller.

    data: (…, n_channels, n_samples). Raises CorpusError where it is the size of neither.
    """
    # Drift and offsets of unfiltered recordings are larger than any EEG; steps between samples are not.
    step = float(np.median(np.diff(data, axis=-1).std(axis=-1))) * rate / RATE
    for factor in (1.0, _VOLT):
        if _STEP_UV[0] <= step * factor <= _STEP_UV[1]:
            return factor
    raise CorpusError(
        f"{path}: its samples step by {step:.3g} (standard deviation): that is EEG neither in µV nor in V"
    )


def load_array(path: Path) -> npt.NDArray[np.floating[Any]]:
    """The one array in a pickle. A pickle that names anything but numpy's arrays is refused before it acts.

    Raises CorpusError, one line.
    """
    if path.stat().st_size > _LARGEST:
        raise CorpusError(f"{path}: {path.stat().st_size >> 20} MB are too large for one person of FACED")
    try:
        found = _ArraysOnly(BytesIO(path.read_bytes())).load()
    except CorpusError as why:
        raise CorpusError(f"{path}: {why}") from None
    # The machine that reads pickles complains with any kind of exception (docs of `pickle`).
    except Exception as why:
        raise CorpusError(
            f"{path}: truncated or damaged, no pickle ({type(why).__name__}): take it from its source again"
        ) from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
        told = f"an array of {found.dtype}" if isinstance(found, np.ndarray) else type(found).__name__
        raise CorpusError(f"{path}: holds {told} instead of an array of numbers")
    return found.astype(np.float64) if found.dtype.kind in "iu" else found


class _ArraysOnly(pickle.Unpickler):
    """Knows the few names that a pickled array of numbers is made of, by whatever numpy; and no others."""

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise CorpusError(f"names {module}.{name}, and not only arrays: refused, nothing of it was run")
        return known

    def persistent_load(self, pid: object) -> Any:
        raise CorpusError("refers to something outside of it: refused")


def _latin1(text: str, encoding: str) -> bytes:
    """How protocol 2 spells bytes; the codec's name is not taken from the file."""
    if encoding != "latin1":
        raise CorpusError(f"spells its bytes in {encoding!r}: refused")
    return text.encode("latin1")


_reconstruct: Any = np.empty(0).__reduce__()[0]
_frombuffer: Any = np.empty(0).__reduce_ex__(5)[0]
_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _latin1,
}
