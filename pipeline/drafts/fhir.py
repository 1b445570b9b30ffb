"""A draft as a FHIR document Bundle, R4B or R5, validated by fhir.resources before it leaves.

Composition, Observation with a component for each label, Devices for model and headset, Provenance, and the
labels as a CodeSystem. Whatever a model had a part in is marked as asserted by an artificial intelligence.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any, Literal

from pipeline.drafts import fhir_terms as terms
from pipeline.drafts.record import Draft, Section, encode
from pipeline.drafts.render import cited, stamp, title

Release = Literal["R4B", "R5"]


def bundle(draft: Draft, release: Release = "R4B") -> dict[str, Any]:
    """Valid in the given release: raises pydantic.ValidationError where it is not, which is a bug."""
    built = _Document(draft, release == "R5").bundle()
    validate(built, release)
    return built


def validate(told: dict[str, Any], release: Release) -> None:
    # Imported late: the classes take half a second and tens of MiB, and only drafts need them.
    if release == "R5":
        from fhir.resources.bundle import Bundle

        Bundle.model_validate(told)
    else:
        from fhir.resources.R4B.bundle import Bundle as BundleR4B

        BundleR4B.model_validate(told)


def preload(release: Release) -> None:
    """Loads the classes now instead of with the first draft."""
    empty = {"resourceType": "Bundle", "type": "document", "timestamp": "2026-01-01T00:00:00Z"}
    validate(empty, release)


def dumps(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False, indent=1) + "\n"


class _Document:
    """Identities are derived from the draft's: the same draft gives the same document."""

    def __init__(self, draft: Draft, r5: bool) -> None:
        self._draft = draft
        self._r5 = r5
        self._facts = {fact.id: fact for fact in draft.facts}
        self._schema = str(self._facts["model.schema"].value)
        self._labels = [fact.id.removeprefix("time.") for fact in draft.facts if fact.id.startswith("time.")]
        self._labels.remove("unread")

    def bundle(self) -> dict[str, Any]:
        resources = {
            "composition": self._composition(),
            "patient": self._patient(),
            "observation": self._observation(),
            "model": self._model(),
            "headset": self._headset(),
            "provenance": self._provenance(),
            "labels": terms.code_system(
                terms.label_system(self._schema), "Labels", {label: label for label in self._labels}
            ),
            "kinds": terms.code_system(terms.KINDS, "Kinds", terms.KIND_NAMES),
            "signer": self._signer(),
            "map": terms.concept_map(self._schema, self._labels, self._r5),
        }
        return {
            "resourceType": "Bundle",
            "type": "document",
            "meta": self._meta(),
            "identifier": {"system": terms.RECORDS, "value": f"{self._draft.id}-{self._draft.version}"},
            "timestamp": self._moment(),
            "entry": [
                {"fullUrl": self._url(name), "resource": {"id": self._id(name), **resource}}
                for name, resource in resources.items()
                if resource is not None
            ],
        }

    def _id(self, name: str) -> str:
        return str(
            uuid.uuid5(uuid.NAMESPACE_URL, f"{terms.RECORDS}/{self._draft.id}/{self._draft.version}/{name}")
        )

    def _url(self, name: str) -> str:
        return f"urn:uuid:{self._id(name)}"

    def _to(self, name: str, display: str) -> dict[str, str]:
        return {"reference": self._url(name), "display": display}

    def _moment(self) -> str:
        return self._draft.signature.when if self._draft.signature else self._draft.created

    def _meta(self) -> dict[str, Any]:
        tags = [terms.RESEARCH] + ([] if self._draft.signature else [terms.UNSIGNED])
        return {"security": [terms.AI_ASSERTED], "tag": tags}

    def _composition(self) -> dict[str, Any]:
        draft, signature = self._draft, self._draft.signature
        told: dict[str, Any] = {
            "resourceType": "Composition",
            "meta": self._meta(),
            "status": terms.STATUS[draft.status],
            "type": terms.concept(terms.PROGRESS_NOTE),
            "date": self._moment(),
            "author": [self._to("model", draft.provenance.model)],
            "title": f"{title(draft)}: {stamp(draft)}",
            "section": [self._section(section) for section in draft.sections],
        }
        identifier = {"system": terms.RECORDS, "value": draft.id}
        subject = self._to("patient", draft.subject)
        if self._r5:
            told |= {"identifier": [identifier], "subject": [subject], "version": str(draft.version)}
        else:
            told |= {"identifier": identifier, "subject": subject}
        if signature is not None and signature.decision != "reject":
            mode = "professional"
            told["attester"] = [
                {
                    "mode": terms.concept(
                        {"system": "http://hl7.org/fhir/composition-attestation-mode", "code": mode}
                    )
                    if self._r5
                    else mode,
                    "time": signature.when,
                    "party": self._to("signer", signature.who),
                }
            ]
        return told

    def _section(self, section: Section) -> dict[str, Any]:
        told: dict[str, Any] = {
            "title": section.title,
            "code": terms.concept(terms.section_code(section.key)),
        }
        if not section.statements:
            return told | {
                "text": terms.narrative([f"Empty: {section.reason}."]),
                "emptyReason": terms.concept(terms.EMPTY, section.reason),
            }
        said = [f"{one.text}{cited(one)} ({one.origin})" for one in section.statements]
        told["text"] = terms.narrative(said)
        if section.key in ("physical_examination", "diagnosis_information"):
            told["entry"] = [self._to("observation", "shares of time")]
        return told

    def _patient(self) -> dict[str, Any]:
        gender = self._facts.get("context.gender")
        return {
            "resourceType": "Patient",
            "identifier": [{"system": terms.SUBJECTS, "value": self._draft.subject}],
            "gender": str(gender.value) if gender else "unknown",
        }

    def _observation(self) -> dict[str, Any]:
        draft = self._draft
        told: dict[str, Any] = {
            "resourceType": "Observation",
            "meta": self._meta(),
            "identifier": [{"system": f"{terms.OWN}/sid/episode", "value": draft.episode.id}],
            "status": terms.STATUS[draft.status],
            "code": terms.concept(terms.own("emotion-from-eeg")),
            "subject": self._to("patient", draft.subject),
            "device": self._to("model", draft.provenance.model),
            "valueCodeableConcept": terms.concept(self._label(draft.episode.label), draft.episode.label),
            "component": [
                component
                for code, fact in [
                    *((self._label(label), self._facts.get(f"share.{label}")) for label in self._labels),
                    (terms.own("no-label"), self._facts.get("share.unread")),
                ]
                if (component := terms.share(code, fact)) is not None
            ],
        }
        if draft.episode.start:
            told["effectivePeriod"] = {"start": draft.episode.start, "end": draft.episode.end}
        if not told["component"]:
            del told["component"]
        return told

    def _label(self, label: str) -> terms.Coding:
        return {"system": terms.label_system(self._schema), "code": label, "display": label}

    def _model(self) -> dict[str, Any]:
        made = self._draft.provenance
        told = {
            "resourceType": "Device",
            "identifier": [{"system": terms.MODELS, "value": made.model_sha256}],
            "version": [{"value": made.program}],
        }
        return told | self._device(made.model, "eeg-model")

    def _headset(self) -> dict[str, Any]:
        return {"resourceType": "Device"} | self._device(str(self._facts["headset"].value), "eeg-headset")

    def _device(self, name: str, kind: str) -> dict[str, Any]:
        code = terms.concept(terms.own(kind))
        if self._r5:
            return {"type": [code], "name": [{"value": name, "type": "user-friendly-name"}]}
        return {"type": code, "deviceName": [{"name": name, "type": "user-friendly-name"}]}

    def _signer(self) -> dict[str, Any] | None:
        signature = self._draft.signature
        if signature is None:
            return None
        return {
            "resourceType": "Practitioner",
            "identifier": [{"system": terms.SIGNERS, "value": signature.who}],
        }

    def _provenance(self) -> dict[str, Any]:
        draft, signature = self._draft, self._draft.signature
        kinds = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
        agents = [
            {
                "type": terms.concept({"system": kinds, "code": "assembler", "display": "Assembler"}),
                "who": self._to("model", draft.provenance.model),
            }
        ]
        if signature is not None:
            kind = {"system": kinds, "code": "attester", "display": "Attester"}
            if signature.decision == "reject":
                kind = {"system": kinds, "code": "verifier", "display": "Verifier"}
            agents.append({"type": terms.concept(kind), "who": self._to("signer", signature.who)})
        told: dict[str, Any] = {
            "resourceType": "Provenance",
            "target": [self._to("composition", title(draft)), self._to("observation", "shares of time")],
            "recorded": self._moment(),
            "agent": agents,
        }
        before = {"system": f"{terms.OWN}/sid/record-sha256", "value": draft.previous}
        if draft.previous:
            told["entity"] = [{"role": "revision", "what": {"identifier": before}}]
        if draft.episode.start:
            told["occurredPeriod"] = {"start": draft.episode.start, "end": draft.episode.end}
        told["activity"] = {
            "text": f"version {draft.version}, {draft.status}; sha256 of the record "
            f"{hashlib.sha256(encode(draft)).hexdigest()}"
        }
        return told
