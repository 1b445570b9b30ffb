"""All cells of an evaluation, several at once; what is there and whole is not done again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

import msgspec

from pipeline.engine import LOCAL, Engine
from pipeline.wavelet import METHODS
from training import corpus
from training.errors import TrainingError
from training.evaluation.cells import Bench, Cell, budget, done
from training.evaluation.material import PLAIN, Place, first_people
from training.evaluation.protocols import NotPossibleError
from training.evaluation.settings import Protocol, System
from training.evaluation.systems import TOLD
from training.evaluation.variants import AS_RECORDED, UNCALIBRATED, Variant, variant_of, variants
from training.signals import make_signals
from training.workers import workers


class NotRun(msgspec.Struct, frozen=True):
    """What the recipe asks for and the corpus does not allow."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """cells: everything to be done or done. missing: what cannot be."""

    cells: tuple[Cell, ...]
    missing: tuple[NotRun, ...]


@dataclass(frozen=True, slots=True)
class Only:
    """What a run is restricted to; empty for everything that the recipe asks for."""

    protocols: tuple[Protocol, ...] = ()
    systems: tuple[System, ...] = ()
    variants: tuple[str, ...] = ()

    def has(self, variant: str) -> bool:
        return not self.variants or any(variant.startswith(name) for name in self.variants)

    def holds(self, cell: Cell) -> bool:
        return (
            (not self.protocols or cell.protocol in self.protocols)
            and (not self.systems or cell.system in self.systems)
            and self.has(cell.variant)
        )


def evaluate(place: Place, data: Path, jobs: int, only: Only = Only(), engine: Engine = LOCAL) -> Plan:
    """Makes the corpora and signals, then every cell. Raises TrainingError or PipelineError, one line.

    jobs: processes, 0 for one a core. engine: on Ray, all machines see the same `data` and `place.out`.
    """
    recipe, folder, montage = place.corpus(PLAIN)
    corpus.make_corpus(recipe, data, folder, montage=montage, jobs=jobs, engine=engine)
    with workers(jobs, _begin, place, data, engine=engine) as pool:
        others = [
            variant.name
            for variant in variants(place.recipe)
            if only.has(variant.name) and place.corpus(variant) != place.corpus(PLAIN)
        ]
        pool.do(_make, others, "other corpora", "corpus")
        found = plan(place, only)
        if any(cell.variant == UNCALIBRATED or TOLD[cell.system].signals for cell in found.cells):
            pool.do(_play, sittings_used(place, data), "signals", "sitting", name=attrgetter("name"))
        work = _together([cell for cell in found.cells if not done(place, cell)])
        work.sort(key=lambda some: -_cost(place, some[0]))
        pool.do(_do, work, "evaluation", "step", name=_name)
    elsewhere = [cells for cells in work if engine.ray and not done(place, cells[-1])]
    if elsewhere:
        raise TrainingError(
            f"{place.folder}: {_name(elsewhere[0])}: done, but on another machine: "
            "give an --out that all machines share"
        )
    return found


def sittings_used(place: Place, data: Path) -> list[corpus.Sitting]:
    """Of the people who are compared."""
    found = corpus.sittings(place.recipe, data)
    used = first_people([sitting.subject for sitting in found], place.recipe.evaluate.people)
    return [sitting for sitting in found if sitting.subject in used]


def plan(place: Place, only: Only = Only()) -> Plan:
    """Which cells there are, by the corpora at hand."""
    bench = Bench(place)
    cells: list[Cell] = []
    missing: dict[str, str] = {}
    for variant in variants(place.recipe):
        for protocol in variant.protocols:
            wanted = [Cell(protocol, variant.name, system, 0) for system in variant.systems]
            wanted = [cell for cell in wanted if only.holds(cell)]
            if not wanted:
                continue
            try:
                folds = len(bench.folds(protocol, variant.name))
            except NotPossibleError as why:
                missing[protocol if variant.name == AS_RECORDED else f"{variant.name}, {protocol}"] = str(why)
                continue
            cells += [replace(cell, fold=fold) for cell in wanted for fold in range(folds)]
    return Plan(tuple(cells), tuple(NotRun(*one) for one in missing.items()))


def _together(cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
    """A model trained on all electrodes answers for the smaller headsets too, in the same stroke."""
    small = [cell for cell in cells if cell.system == "model" and Variant(cell.variant, "", (), ()).montage]
    rest = [cell for cell in cells if cell not in small]
    found = []
    for cell in rest:
        same = (AS_RECORDED, "model")
        if (cell.variant, cell.system) == same:
            found.append((cell, *(s for s in small if (s.protocol, s.fold) == (cell.protocol, cell.fold))))
        else:
            found.append((cell,))
    told = {cell for some in found for cell in some}
    # Their model was done before, without them: it is trained again.
    for cell in small:
        if cell not in told:
            found.append((replace(cell, variant=AS_RECORDED), cell))
            told.add(cell)
    return found


def _cost(place: Place, cell: Cell) -> float:
    """Roughly in proportion to its time: the long ones come first, so that none is left at the end."""
    if cell.system != "model":
        return 1.0 if cell.system == "eegnet" else 0.0
    method = METHODS.get(cell.variant, METHODS[place.recipe.pipeline.compression])
    how = budget(place, cell)
    return (
        float(method.n_codes) * (how.epochs or place.recipe.fit.epochs) * (0.1 if how.train_windows else 1.0)
    )


@dataclass(slots=True)
class _Worker:
    """What a process keeps between pieces of work."""

    place: Place
    data: Path
    bench: Bench


_worker: _Worker


def _begin(place: Place, data: Path) -> None:
    global _worker
    _worker = _Worker(place, data, Bench(place))


def _make(name: str) -> None:
    recipe, folder, montage = _worker.place.corpus(variant_of(_worker.place.recipe, name))
    corpus.make_corpus(recipe, _worker.data, folder, montage=montage, jobs=1, progress=False)


def _play(sitting: corpus.Sitting) -> None:
    place = _worker.place
    path = place.signals / f"{sitting.name}.npz"
    make_signals(sitting, place.recipe.pipeline, path, place.fingerprint())


def _name(cells: tuple[Cell, ...]) -> str:
    cell = cells[0]
    return f"{cell.system}, {cell.protocol}, {cell.variant}, fold {cell.fold + 1}"


def _do(cells: tuple[Cell, ...]) -> None:
    _worker.bench.do(cells[0], cells[1:])
