"""A corpus in FACED's layout whose effects are known, because this file makes them.

It shows that the nine-class path runs whole and that the evaluation tells what is there from what is not. It
says nothing of how well a model reads people. Four things change the log-power of a band over a part of the
head, each drawn from a seed of its own: the **emotion** (the table in `simulated_people.py`), the **clip**
(its light, sound and pace: the same for everybody, so that clips can be told apart by who has seen them in
training), the **trial** (this person, this clip: what makes random windows leak) and the **person**
(spectrum, alpha, topography, and how strongly they respond).

`anger` and `disgust` have the same row in the table, `amusement` and `joy` as well: between the two of a pair
only clips differ. A model must come out at chance there where clips are held out, and may well not elsewhere.
"""

from __future__ import annotations

import pickle  # nosec B403 (written only)
from functools import partial
from pathlib import Path

import msgspec
from tqdm import tqdm

from pipeline.prompt import Person
from pipeline.whole import as_json, write_whole
from training.corpora import clips
from training.corpora.faced import RATE, read_person
from training.corpora.settings import Simulated
from training.corpora.simulated_people import (
    CLIP_SD,
    EFFECTS,
    IDENTICAL,
    PERSON_SD,
    RESPONSE_SD,
    TRIAL_SD,
    Effect,
    Individual,
)
from training.corpora.sitting import CorpusError, Sitting

__all__ = ["EFFECTS", "IDENTICAL", "Truth", "make", "sittings", "truth"]

_TRUTH = "truth.json"
# Changed when the same settings make other signals.
_VERSION = 1


class Truth(msgspec.Struct, frozen=True):
    """What a simulated corpus holds; kept beside it and quoted by reports."""

    version: int
    seconds: float
    seed: int
    effects: dict[str, tuple[Effect, ...]]
    identical: tuple[tuple[str, str], ...]
    """At chance between each other where clips are held out."""
    clip_sd: float
    trial_sd: float
    person_sd: float
    response_sd: float


def truth(settings: Simulated) -> Truth:
    """The true effects. How many people there are changes none of them."""
    return Truth(
        version=_VERSION,
        seconds=settings.seconds,
        seed=settings.seed,
        effects=EFFECTS,
        identical=IDENTICAL,
        clip_sd=CLIP_SD,
        trial_sd=TRIAL_SD,
        person_sd=PERSON_SD,
        response_sd=RESPONSE_SD,
    )


def sittings(settings: Simulated, folder: Path, calibration: float, progress: bool) -> list[Sitting]:
    """Everybody, made first where they are not there yet. Raises TrainingError, one line."""
    clips.check_rest(settings.rest, settings.seconds, calibration)
    make(settings, folder, progress)
    known = clips.people(folder, settings.people)
    samples = round(settings.seconds * RATE)
    return [
        Sitting(
            path.stem,
            path.stem,
            known.get(path.stem, Person()),
            (path,),
            partial(read_person, path, samples, settings.rest, settings.classes),
        )
        for path in _paths(settings, folder)
    ]


def make(settings: Simulated, folder: Path, progress: bool = False) -> None:
    """Writes `Processed_data/subNNN.pkl`, `Recording_info.csv` and the truth; goes on where it was stopped.

    Raises TrainingError where the folder holds something else, PipelineError where it cannot be written.
    """
    told = as_json(truth(settings))
    truth_path = folder / _TRUTH
    if truth_path.is_file():
        if truth_path.read_bytes() != told:
            raise CorpusError(
                f"{folder}: holds people simulated under other settings: remove it, or give another --data"
            )
    elif any(folder.glob("**/sub*.pkl")):
        raise CorpusError(f"{folder}: holds recordings that were not simulated here: give another --data")
    write_whole(truth_path, told)
    rows = ["sub,Gender,Age,Cohort ,Sample_rate,Unit"]
    missing = []
    for number, path in enumerate(_paths(settings, folder)):
        person = Individual(settings, number)
        rows.append(f"{path.stem},{person.gender},{person.age},0,{RATE:g},uV")
        if not path.is_file():
            missing.append((person, path))
    write_whole(folder / settings.people, ("\n".join(rows) + "\n").encode())
    for person, path in tqdm(missing, desc="simulated people", unit="person", disable=not progress):
        # A fixed protocol: the same bytes from every Python.
        write_whole(path, pickle.dumps(person.clips(), protocol=4))


def _paths(settings: Simulated, folder: Path) -> list[Path]:
    return [folder / "Processed_data" / f"sub{number:03d}.pkl" for number in range(settings.n_people)]
