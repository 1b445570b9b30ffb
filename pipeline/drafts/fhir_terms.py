"""Codes of the FHIR rendering: standard ones where they surely exist and mean the same, else our own."""

from __future__ import annotations

from html import escape
from typing import Any

from pipeline.drafts.facts import Fact

Coding = dict[str, str]

# A name that can never resolve (RFC 2606): our codes are no published terminology.
OWN = "https://eeg-emotion-copilot.invalid/fhir"
SUBJECTS = f"{OWN}/sid/subject"
SIGNERS = f"{OWN}/sid/signer"
MODELS = f"{OWN}/sid/model-sha256"
RECORDS = f"{OWN}/sid/record"
KINDS = f"{OWN}/CodeSystem/kinds"

LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"

AI_ASSERTED: Coding = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
RESEARCH: Coding = {
    "system": KINDS,
    "code": "research-use-only",
    "display": "Research use only: not a medical device",
}
UNSIGNED: Coding = {"system": KINDS, "code": "unsigned-draft", "display": "Unsigned draft"}

KIND_NAMES = {
    "research-use-only": "Research use only: not a medical device",
    "unsigned-draft": "Unsigned draft",
    "emotion-from-eeg": "Share of time in which a model read each emotional state from scalp EEG",
    "no-label": "Time that got no label",
    "basic_information": "Basic Information",
    "medical_expenses": "Medical Expenses",
    "follow_up": "Follow-up Records",
    "eeg-model": "Model that reads EEG",
    "eeg-headset": "EEG headset",
}

PROGRESS_NOTE: Coding = {"system": LOINC, "code": "11506-3", "display": "Progress note"}

# The section on diagnosis describes a measured state: it is an evaluation and not a diagnosis, and is coded
# so. Basic information, expenses and follow-up have no code of exactly their meaning.
SECTION_CODES: dict[str, Coding] = {
    "medical_history": {"system": LOINC, "code": "11348-0", "display": "History of Past illness Narrative"},
    "physical_examination": {"system": LOINC, "code": "29545-1", "display": "Physical findings Narrative"},
    "diagnosis_information": {"system": LOINC, "code": "51848-0", "display": "Evaluation note"},
    "treatment_plan": {"system": LOINC, "code": "18776-5", "display": "Plan of care note"},
    "laboratory_results": {
        "system": LOINC,
        "code": "30954-2",
        "display": "Relevant diagnostic tests/laboratory data Narrative",
    },
}

# Labels whose word is a finding of SNOMED CT. A model's label is related to the finding, it is not the
# finding; labels without an entry here have no mapping.
RELATED: dict[str, Coding] = {"stress": {"system": SNOMED, "code": "73595000", "display": "Stress (finding)"}}

STATUS = {
    "preliminary": "preliminary",
    "final": "final",
    "amended": "amended",
    "rejected": "entered-in-error",
}
# FHIR's list of reasons has no "nobody supplied it"; this one says that the information is not at hand.
EMPTY = {
    "system": "http://terminology.hl7.org/CodeSystem/list-empty-reason",
    "code": "unavailable",
    "display": "Unavailable",
}


def own(code: str) -> Coding:
    return {"system": KINDS, "code": code, "display": KIND_NAMES[code]}


def section_code(key: str) -> Coding:
    return SECTION_CODES.get(key) or own(key)


def label_system(schema: str) -> str:
    return f"{OWN}/CodeSystem/{schema}"


def concept(coding: Coding, text: str = "") -> dict[str, Any]:
    told: dict[str, Any] = {"coding": [coding]}
    return told | {"text": text} if text else told


def code_system(url: str, name: str, codes: dict[str, str]) -> dict[str, Any]:
    return {
        "resourceType": "CodeSystem",
        "url": url,
        "name": name,
        "status": "draft",
        "experimental": True,
        "content": "complete",
        "concept": [{"code": code, "display": display} for code, display in codes.items()],
    }


def concept_map(schema: str, labels: list[str], r5: bool) -> dict[str, Any] | None:
    """Labels to standard codes; None where no label has one."""
    found = {label: RELATED[label] for label in labels if label in RELATED}
    if not found:
        return None
    kind = {"relationship": "related-to"} if r5 else {"equivalence": "relatedto"}
    return {
        "resourceType": "ConceptMap",
        "url": f"{OWN}/ConceptMap/{schema}",
        "name": "Labels",
        "status": "draft",
        "experimental": True,
        "group": [
            {
                "source": label_system(schema),
                "target": SNOMED,
                "element": [
                    {
                        "code": label,
                        "display": label,
                        "target": [{"code": to["code"], "display": to["display"], **kind}],
                    }
                    for label, to in found.items()
                ],
            }
        ],
    }


def share(code: Coding, fact: Fact | None) -> dict[str, Any] | None:
    if fact is None:
        return None
    quantity = {"value": fact.value, "unit": "%", "system": UCUM, "code": "%"}
    return {"code": concept(code), "valueQuantity": quantity}


def narrative(lines: list[str]) -> dict[str, str]:
    body = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{body}</div>'}
