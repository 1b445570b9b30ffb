"""FHIR documents, validated again by fhir.resources and looked through for what validation does not see."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from bare_drafts import Plain
from episodes_at_hand import FACED, FULL, context, maker, simulated
from fhir.resources.bundle import Bundle as BundleR5
from fhir.resources.R4B.bundle import Bundle as BundleR4B

from pipeline.drafts import fhir, fhir_terms
from pipeline.drafts.drafting import Drafter, Order
from pipeline.drafts.record import Draft, Signature, digest, signed
from pipeline.guidance import Guidance

STATUS = {"accept": "final", "amend": "amended", "reject": "entered-in-error"}


@cache
def _guidance() -> Guidance:
    return Guidance.shipped()


def draft(*, utc: bool = True, labels: tuple[str, ...] = ("calm", "stress"), **about: object) -> Draft:
    course = next(course for seed in range(50) for course in simulated(seed, labels))
    order = Order(course, context(**about), maker(labels, utc=utc), "test", 1.77e9)
    return Drafter(_guidance(), Plain()).draft(order)


def decided(one: Draft, decision: str) -> Draft:
    signature = Signature(
        who="dr-1",
        role="neurologist",
        when="2026-02-01T10:00:00.000000Z",
        decision=decision,  # type: ignore[arg-type]
        comment="",
        of_version=one.version,
        of_sha256=digest(one),
    )
    return signed(
        one, signature, {"treatment_plan": "Rest & see.\nSecond line."} if decision == "amend" else {}
    )


def resource(told: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(e["resource"] for e in told["entry"] if e["resource"]["resourceType"] == kind)


def within(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from within(one)
    elif isinstance(value, list):
        for one in value:
            yield from within(one)


@pytest.mark.parametrize("release", ["R4B", "R5"])
@pytest.mark.parametrize("decision", ["", "accept", "amend", "reject"])
@pytest.mark.parametrize("full", [False, True])
def test_document_is_valid_and_whole(release: Any, decision: str, full: bool) -> None:
    one = draft(utc=full, **(FULL if full else {}))
    one = decided(one, decision) if decision else one
    told = json.loads(fhir.dumps(fhir.bundle(one, release)))
    (BundleR5 if release == "R5" else BundleR4B).model_validate(told)
    assert told["type"] == "document" and told["entry"][0]["resource"]["resourceType"] == "Composition"
    urls = {entry["fullUrl"] for entry in told["entry"]}
    assert len(urls) == len(told["entry"])
    assert {part["reference"] for part in within(told) if "reference" in part} <= urls
    composition, observation = resource(told, "Composition"), resource(told, "Observation")
    assert composition["status"] == observation["status"] == (STATUS[decision] if decision else "preliminary")
    assert ("unsigned draft" in composition["title"]) == (not decision)
    assert ("attester" in composition) == (decision in ("accept", "amend"))
    assert [section["title"] for section in composition["section"]] == [s.title for s in one.sections]
    assert all(
        ("emptyReason" in told) == (not s.text)
        for told, s in zip(composition["section"], one.sections, strict=True)
    )
    for marked in (told, composition, observation):
        assert marked["meta"]["security"][0]["code"] == "AIAST"
        assert ("unsigned-draft" in {tag["code"] for tag in marked["meta"]["tag"]}) == (not decision)
    assert ("effectivePeriod" in observation) == full
    if full:
        assert observation["effectivePeriod"] == {"start": one.episode.start, "end": one.episode.end}
    agents = resource(told, "Provenance")["agent"]
    assert len(agents) == 1 + bool(decision)


def test_a_component_for_each_label_with_the_share_of_the_facts() -> None:
    one = draft(labels=FACED)
    told = fhir.bundle(one)
    shares = {
        component["code"]["coding"][0]["code"]: component["valueQuantity"]["value"]
        for component in resource(told, "Observation")["component"]
    }
    facts = {fact.id: fact.value for fact in one.facts}
    assert shares == {label: facts[f"share.{label}"] for label in FACED} | {"no-label": facts["share.unread"]}
    system = next(e["resource"] for e in told["entry"] if e["resource"].get("name") == "Labels")
    assert sorted(code["code"] for code in system["concept"]) == sorted(FACED)


def test_mappings_only_where_a_standard_code_exists() -> None:
    kinds = [e["resource"]["resourceType"] for e in fhir.bundle(draft(labels=FACED))["entry"]]
    assert "ConceptMap" not in kinds
    mapped = resource(fhir.bundle(draft()), "ConceptMap")["group"][0]["element"]
    assert [(one["code"], one["target"][0]["code"]) for one in mapped] == [("stress", "73595000")]


def test_own_codes_are_all_defined_and_point_nowhere() -> None:
    one = decided(draft(**FULL), "amend")
    told = fhir.bundle(one)
    defined = {
        (e["resource"]["url"], concept["code"])
        for e in told["entry"]
        if e["resource"]["resourceType"] == "CodeSystem"
        for concept in e["resource"]["concept"]
    }
    used = {
        (part["system"], part["code"])
        for part in within(told)
        if str(part.get("system", "")).startswith(f"{fhir_terms.OWN}/CodeSystem") and "code" in part
    }
    assert used <= defined
    assert all(re.match(r"https://[\w-]+\.invalid/", url) for url, _ in defined)


def test_supplied_text_is_escaped_in_the_narrative() -> None:
    one = draft(history=["<script>alert(1)</script> & more"])
    assert "<script" not in fhir.dumps(fhir.bundle(one))
