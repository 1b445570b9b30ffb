"""A report from nothing: evaluate what is missing, gather, draw, write. Each file appears whole."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import GuidanceError
from pipeline.whole import as_json, write_whole
from training.corpora.settings import Eegmat, Simulated
from training.evaluation.cells import Cell
from training.evaluation.checks import Pair, checks, pairs
from training.evaluation.material import Material, Place
from training.evaluation.run import NotRun, evaluate
from training.evaluation.summary import Figures, answers_of, bundle_evaluation, gather
from training.evaluation.variants import AS_RECORDED, variant_of, variants
from training.report import pictures
from training.report.card import model_card
from training.report.clusters import MOST, MOST_QUICK, Picture, draw, sentence_embedding
from training.report.discussion import discuss
from training.report.language import Language, run_language
from training.report.record import Report, Timing
from training.report.write import report_text
from training.workers import cores

_HELD_OUT = "person-held-out"
_CLIPS = "person-and-clip-held-out"
# The paper's Figure 9 shows its two compressions.
_EMBEDDED = (AS_RECORDED, "w50-approx", "w500x10-approx")
_SHOWN = ("model", "svm-codes", "tangent-rest")


def make_report(
    place: Place, data: Path, jobs: int, *, quick: bool, embedder: Path, language: bool
) -> Report:
    """Writes OUT/report and OUT/evaluation.json. Raises TrainingError, one line."""
    recipe, folder = place.recipe, place.out / "report"
    done = evaluate(place, data, jobs)
    tuned = run_language(place, jobs, quick=quick) if language else Language.none("--no-language was given")
    figures, seconds = gather(place, done.cells)
    missing = [*done.missing, *tuned.missing]
    judged = list(checks(place, done.cells, quick))
    wanted, left_out = _pictures(place, embedder, tuned, folder, MOST_QUICK if quick else MOST)
    clusters = draw(wanted, jobs)
    missing += left_out
    windows = Material(place).examples(variant_of(recipe, AS_RECORDED))
    report = Report(
        recipe=recipe.name,
        labels=recipe.labels,
        quick=quick,
        people=len({example.subject for example in windows}),
        windows=sum(not example.shifted for example in windows),
        figures=figures,
        checks=judged,
        pairs=_pairs(place, done.cells),
        language=tuned.steps,
        language_told=tuned.told,
        clusters=clusters,
        missing=missing,
        discussion=list(
            discuss(
                figures,
                judged,
                tuned.steps,
                clusters,
                recipe.labels,
                quick=quick,
                ica=isinstance(recipe.corpus, Eegmat),
            )
        ),
        timing=Timing(seconds, tuned.seconds, f"{platform.machine()}, {cores()} cores, {jobs} processes"),
    )
    drawn = _draw(report, folder)
    write_whole(folder / "REPORT.md", report_text(report, list(variants(recipe)), drawn).encode())
    write_whole(folder / "MODEL_CARD.md", model_card(recipe, report).encode())
    told = bundle_evaluation(place, done.cells)
    if told is not None:
        write_whole(place.out / "evaluation.json", as_json(told))
    # Last: where it is there, everything is.
    write_whole(folder / "report.json", as_json(report))
    return report


def _pairs(place: Place, cells: Sequence[Cell]) -> dict[str, list[Pair]]:
    corpus = place.recipe.corpus
    if not isinstance(corpus, Simulated) or corpus.classes != 9:
        return {}
    found = {}
    for system in ("model", "svm-codes"):
        some = [c for c in cells if (c.protocol, c.variant, c.system) == (_CLIPS, AS_RECORDED, system)]
        if some:
            found[system] = pairs(place, answers_of(place, some))
    return found


def _draw(report: Report, folder: Path) -> dict[str, str]:
    """File names by what they show."""
    drawn = {"protocols": "protocols.svg"}
    pictures.protocols(report, folder / drawn["protocols"])
    held: list[Figures] = [
        one
        for system in _SHOWN
        for one in report.figures
        if (one.protocol, one.variant, one.system) == (_HELD_OUT, AS_RECORDED, system)
    ]
    if held:
        drawn |= {"confusion": "confusion.svg", "reliability": "reliability.svg", "people": "people.svg"}
        pictures.confusions(held, report.labels, folder / drawn["confusion"])
        pictures.reliability(held, folder / drawn["reliability"])
        pictures.people(held[:2], folder / drawn["people"])
    if any(step.strategy for step in report.language):
        drawn["steps"] = "steps.svg"
        pictures.steps(report.language, report.timing.language, folder / drawn["steps"])
    return drawn


def _pictures(
    place: Place, embedder: Path, tuned: Language, folder: Path, most: int
) -> tuple[list[Picture], list[NotRun]]:
    """What Figures 9 and 10 are made of, and what is missing for them."""
    found: list[Picture] = []
    missing = []
    sentences = True
    try:
        sentence_embedding(embedder)
    except GuidanceError as why:
        sentences = False
        missing.append(NotRun("Figure 9, clusters of sentence embeddings", str(why)))
    there = {variant.name for variant in variants(place.recipe)}
    for name in (name for name in _EMBEDDED if name in there):
        sentence = Picture(place, name, "all-MiniLM-L6-v2", embedder, True, most, folder)
        own = [
            Picture(place, name, f"{model} hidden states", weights, False, most, folder)
            for model, (told, weights) in tuned.models.items()
            if told == sentence.compression
        ]
        if not own:
            missing.append(
                NotRun(f"Figure 10, {sentence.compression}", "no fine-tuned model of this compression")
            )
        found += [sentence, *own] if sentences else own
    return found, missing
