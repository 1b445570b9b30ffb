"""The eight sections. What has no source stays empty, with the reason; nothing is invented."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.drafts.check import faults
from pipeline.drafts.facts import Fact, Facts
from pipeline.drafts.record import SECTIONS, Section, Statement, section
from pipeline.drafts.sources import Entry, Guide, quoted
from pipeline.drafts.writing import Pen, diagnosis, fit, follow_up, treatment

_REASONS = {
    "medical_history": "no history, medication, allergies or complaint were supplied",
    "treatment_plan": "no guidance entry fits the measured state",
    "laboratory_results": "no laboratory results were supplied",
    "follow_up": "no guidance entry fits the measured state",
    "medical_expenses": "no expenses were supplied",
}
_CUT = "nothing was left after the check, see the notes"


class Sections:
    """Builds them once. `facts` holds all that was used, `entries` what is cited, `notes` what was cut."""

    def __init__(self, facts: Facts, guide: Guide, pen: Pen) -> None:
        self.facts = facts
        self.entries: dict[str, Entry] = {}
        self.notes: list[str] = []
        label = facts["episode.label"].text
        limits = [
            entry
            for question in (f"what a label {label} from EEG cannot tell", "a label is not a clinical EEG")
            for entry in guide.search(question, k=1, states=(label,), kinds=("limitation",))
        ]
        found, withheld = fit(list({entry.id: entry for entry in limits}.values()))
        self._cite(found, withheld)
        said: dict[str, list[Statement]] = {
            "basic_information": _basic(facts),
            "medical_history": _history(facts),
            "physical_examination": _examination(facts),
            "diagnosis_information": diagnosis(facts, pen, found),
            "laboratory_results": _listed(facts, "laboratory"),
            "medical_expenses": _listed(facts, "expenses"),
        }
        for key in ("treatment_plan", "follow_up"):
            if key == "treatment_plan":
                statements, found, withheld = treatment(guide, label, pen)
            else:
                statements, found, withheld = follow_up(guide, label, pen, said["treatment_plan"])
            self._cite(found, withheld)
            said[key] = statements
        self.sections = tuple(self._section(key, said[key]) for key in SECTIONS)
        cited = {entry for one in self.sections for entry in one.guidance}
        self.entries = {key: entry for key, entry in self.entries.items() if key in cited}
        self.facts = Facts(
            fact for fact in facts if fact.origin != "guideline" or fact.id.removeprefix("guidance.") in cited
        )

    def _cite(self, entries: Sequence[Entry], withheld: Sequence[str]) -> None:
        self.entries |= {entry.id: entry for entry in entries}
        for fact in quoted(entries):
            self.facts.add(fact)
        self.notes += [note for note in withheld if note not in self.notes]

    def _section(self, key: str, statements: list[Statement]) -> Section:
        kept = []
        for statement in statements:
            if bad := faults(statement, key, self.facts, self.entries):
                # The text itself is not repeated: it would then be in the draft after all.
                self.notes.append(
                    f"{SECTIONS[key]}: a {statement.origin} statement was cut: {'; '.join(bad)}"
                )
            else:
                kept.append(statement)
        return section(key, tuple(kept), _CUT if statements else _REASONS.get(key, _CUT))


def _basic(facts: Facts) -> list[Statement]:
    known = [fact for key in ("subject", "age", "gender") if (fact := facts.get(f"context.{key}"))]
    missing = [key for key in ("age", "gender") if f"context.{key}" not in facts]
    text = "; ".join(f"{fact.name}: {fact.text}" for fact in known)
    if missing:
        text += f"; not supplied: {', '.join(missing)}"
    return [Statement(text=_sentence(text), origin="supplied", facts=tuple(fact.id for fact in known))]


def _history(facts: Facts) -> list[Statement]:
    said = []
    for kind, title in (
        ("complaint", "Complaint"),
        ("history", "History"),
        ("medication", "Medication"),
        ("allergies", "Allergies"),
    ):
        found = _supplied(facts, kind)
        if found:
            said.append(_joined(title, found))
    return said


def _examination(facts: Facts) -> list[Statement]:
    """An EEG is an examination; what else was examined is copied."""
    headset, rest, quality = facts["headset"], facts["calibration"], facts["signal.quality"]
    windows, channels = facts["signal.windows"], facts["signal.channels"]
    said = [
        Statement(
            text=f"EEG by {headset.text}: {windows.text}, {channels.text} good at least once, {quality.text} "
            f"of the channels good on average, compared with {rest.text} of the person's own rest.",
            origin="measured",
            facts=(headset.id, windows.id, channels.id, quality.id, rest.id),
        )
    ]
    if (electrodes := facts.get("signal.electrodes")) is not None:
        said.append(
            Statement(text=f"Electrodes: {electrodes.text}.", origin="measured", facts=("signal.electrodes",))
        )
    bands = [fact for fact in facts.under("band.") if fact.id.count(".") == 2]
    if bands:
        told = "; ".join(f"{fact.id.split('.')[1]} {fact.id.split('.')[2]} {fact.text}" for fact in bands)
        said.append(
            Statement(
                text=f"Mean band energies: {told}.", origin="measured", facts=tuple(fact.id for fact in bands)
            )
        )
    if (limit := facts.get("band.limit")) is not None:
        text = f"Some were at the end of the scale, {limit.text}, and may have been larger."
        said.append(Statement(text=text, origin="measured", facts=(limit.id,)))
    if found := _supplied(facts, "examination"):
        said.append(_joined("Supplied", found))
    return said


def _listed(facts: Facts, kind: str) -> list[Statement]:
    return [
        Statement(text=_sentence(fact.text), origin="supplied", facts=(fact.id,))
        for fact in _supplied(facts, kind)
    ]


def _supplied(facts: Facts, kind: str) -> list[Fact]:
    return [fact for fact in facts if fact.id == f"context.{kind}" or fact.id.startswith(f"context.{kind}.")]


def _joined(title: str, found: Sequence[Fact]) -> Statement:
    text = f"{title}: {'; '.join(fact.text for fact in found)}"
    return Statement(text=_sentence(text), origin="supplied", facts=tuple(fact.id for fact in found))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
