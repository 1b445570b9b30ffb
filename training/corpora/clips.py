"""What FACED (Chen et al., Scientific Data 10:740, 2023; CC BY 4.0) is, whichever form it comes in.

28 film clips in a fixed numbering by emotion; 32 channels, of which 30 are scalp electrodes. There is no rest
at its start: people look at a cross for five seconds, watch a clip, rate it, and pause. The model's codes are
deviations from a person's own rest, so **some of the neutral clips are played first and serve as rest**; they
give no examples. That is not rest: it is a dull film, as one may show at a bedside as well. Which clips is
the recipe's choice. The other neutral clips stay examples of `neutral`, and lie near the middle of all
codes by construction.

Everybody sees the same three or four clips of an emotion, so that a model may learn the clips instead:
Gerster et al. ("Stimulus identity rather than emotion drives EEG classification", a preprint on FACED) find
that it does. Only what is held out by person **and** clip says something of emotion.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from pipeline.prompt import Person
from pipeline.recordings import Recording
from training.corpora.sitting import CorpusError, Playlist, Stretch

_GROUPS = (
    ("anger", 3, "negative"),
    ("disgust", 3, "negative"),
    ("fear", 3, "negative"),
    ("sadness", 3, "negative"),
    ("neutral", 4, "neutral"),
    ("amusement", 3, "positive"),
    ("inspiration", 3, "positive"),
    ("joy", 3, "positive"),
    ("tenderness", 3, "positive"),
)
EMOTIONS: tuple[str, ...] = tuple(emotion for emotion, n, _ in _GROUPS for _ in range(n))
"""Of clip 1, 2, … 28."""
VALENCES: tuple[str, ...] = tuple(valence for _, n, valence in _GROUPS for _ in range(n))
CLIP_SECONDS = 30.0
"""Of a clip as the processed form keeps it."""

# Both cohorts in the order of the processed form: that of the second, to which its authors brought the first.
CHANNELS: tuple[str, ...] = (
    *("Fp1", "Fp2", "Fz", "F3", "F4", "F7", "F8", "FC1", "FC2", "FC5", "FC6", "Cz", "C3", "C4", "T7", "T8"),
    *("CP1", "CP2", "CP5", "CP6", "Pz", "P3", "P4", "P7", "P8", "PO3", "PO4", "Oz", "O1", "O2"),
)
N_REFERENCES = 2
_GENDERS = {"F": "female", "M": "male"}


def label_of(clip: int, classes: int) -> str:
    """clip: 1..28; classes: 3 or 9."""
    return (EMOTIONS if classes == 9 else VALENCES)[clip - 1]


def clip_name(clip: int) -> str:
    """The stimulus, and the trial: everybody sees each clip once."""
    return f"clip-{clip:02d}"


def playlist(
    clips: Mapping[int, Recording],
    rest: tuple[int, ...],
    classes: int,
    start: Mapping[int, float] | None = None,
    notes: tuple[str, ...] = (),
) -> Playlist:
    """Clips of rest first, in the recipe's order, then the others in theirs.

    clips: by number, each a recording of its own. start: seconds of a recording that come before its clip.
    """
    order = [*rest, *(clip for clip in clips if clip not in rest)]
    stretches = tuple(
        Stretch(
            index,
            None if clip in rest else label_of(clip, classes),
            clip_name(clip),
            clip_name(clip),
            start=start[clip] if start else 0.0,
        )
        for index, clip in enumerate(order)
    )
    return Playlist(tuple(clips[clip] for clip in order), stretches, notes)


def check_rest(rest: tuple[int, ...], seconds: float, calibration: float) -> None:
    """Raises CorpusError where the clips of rest cannot fill the calibration, or are not neutral."""
    wrong = [clip for clip in rest if EMOTIONS[clip - 1] != "neutral"]
    if wrong or len(set(rest)) < len(rest):
        raise CorpusError(f"[corpus] rest = {list(rest)}: name neutral clips (13 to 16), each once")
    if len(rest) * seconds < calibration:
        raise CorpusError(
            f"[corpus] rest: {len(rest)} clips of {seconds:g} s are less than the calibration of "
            f"{calibration:g} s: name more neutral clips, or shorten calibration in [pipeline]"
        )
    if len(rest) == EMOTIONS.count("neutral"):
        raise CorpusError("[corpus] rest: leave at least one neutral clip (13 to 16) to learn `neutral` from")


def people(folder: Path, name: str) -> dict[str, Person]:
    """Demographics by subject (`sub000`) from `Recording_info.csv`, in the folder or the one above; empty
    where it is not there. Raises CorpusError where it cannot be understood."""
    found = next((path for path in (folder / name, folder.parent / name) if path.is_file()), None)
    if found is None:
        return {}
    try:
        with found.open(newline="", encoding="utf-8-sig") as file:
            # The published table has a blank behind one of its headings.
            rows = [{str(k).strip(): str(v).strip() for k, v in row.items()} for row in csv.DictReader(file)]
        return {row["sub"]: Person(_age(row["Age"]), _GENDERS.get(row["Gender"][:1].upper())) for row in rows}
    except (KeyError, ValueError, UnicodeDecodeError) as why:
        raise CorpusError(f"{found}: needs the columns sub, Gender, Age ({why})") from None


def _age(text: str) -> int | None:
    return int(float(text)) if text and text.lower() not in ("nan", "n/a") else None
