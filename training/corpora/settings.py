"""The recipe's `[corpus]` section: which kind of data set, and how it is cut into sittings."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Clip = Annotated[int, msgspec.Meta(ge=1, le=28)]


class _Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    shifts: tuple[Seconds, ...] = ()
    """Windows cut anew, each time begun this much later: more examples, for training alone."""


class Eegmat(_Kind, tag="eegmat", frozen=True):
    """EEG During Mental Arithmetic Tasks (Zyma et al., 2019): rest is calm, subtracting is stress."""

    trial: Seconds = 30.0
    """A recording is told off in stretches of this length, so that whole stretches can be held out."""


class _FacedKind(_Kind, frozen=True):
    classes: Literal[3, 9] = 9
    rest: Annotated[tuple[Clip, ...], msgspec.Meta(min_length=1)] = (13, 14)
    """Clips that are played first and serve as rest, numbered from 1; they give no examples."""
    people: str = "Recording_info.csv"
    """Table of demographics, beside the recordings or above them; without it nobody's age is known."""


class Faced(_FacedKind, tag="faced", frozen=True):
    """FACED (Chen et al., 2023), processed: `subNNN.pkl` at 250 Hz."""


class FacedRaw(_FacedKind, tag="faced-raw", frozen=True):
    """FACED (Chen et al., 2023), as recorded: `subNNN/data.bdf` and `subNNN/evt.bdf`."""


class Simulated(_FacedKind, tag="simulated", frozen=True):
    """A made-up corpus in FACED's layout, whose effects are known."""

    n_people: Annotated[int, msgspec.Meta(ge=2, le=999)] = 24
    seconds: Seconds = 30.0
    """Length of a clip."""
    seed: int = 1


class Table(_Kind, tag="table", frozen=True):
    """Any recordings, and a CSV table that says what they show."""

    mains: Literal[50, 60] = 50
    """Of the country they were made in, Hz."""

    table: str = "labels.csv"
    """Columns: file, start, end, subject, label; age, gender and stimulus where known. Times in seconds."""
    rest: str = "rest"
    """Label of the stretches that are played first and serve as rest; they give no examples."""
    suffix: str = ""
    """Only where the table names files without their ending."""


class Bids(_Kind, tag="bids", frozen=True, kw_only=True):
    """A data set in BIDS (EEG): participants.tsv, and events.tsv beside each recording."""

    mains: Literal[50, 60] = 50
    """Of the country they were made in, Hz."""
    task: str
    column: str = "trial_type"
    """Column of events.tsv that decides the label."""
    emotions: dict[str, str]
    """What stands in that column → label of the recipe; rows of other values are not used."""
    rest: str
    """What stands in that column for rest, which is played first and gives no examples."""
    stimulus: str = ""
    """Column of events.tsv that names what was shown, if there is one."""


CorpusSettings = Eegmat | Faced | FacedRaw | Simulated | Table | Bids
