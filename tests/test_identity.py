"""Pseudonyms only: what tells who somebody is gets refused, or stays on the node; it is never published."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from broker import Mosquitto, listening
from episodes_at_hand import FULL
from node import command, configuration, serving, stream

from daemon.identities import FOLDER
from pipeline.drafts.context import ContextError, read_context
from pipeline.drafts.identity import refuse_looks

IDENTIFYING = [
    ("complaint", "seen with Mrs. Miller from the ward", "a name"),
    ("complaint", "Herr Schäfer klagt über Kopfschmerz", "a name"),
    ("complaint", "patient: Jane Doe, restless", "a name"),
    ("complaint", "her name is Jane Doe", "a name"),
    ("complaint", "write to jane.doe@example.org", "an e-mail"),
    ("complaint", "call +49 170 1234567", "a telephone"),
    ("complaint", "tel. 030 / 1234 567", "a telephone"),
    ("complaint", "DOB: 3.4.1980", "a birth date"),
    ("complaint", "born on 3 April 1980 in a small town", "a birth date"),
    ("complaint", "date of birth 1980-04-03", "a birth date"),
    ("complaint", "MRN 00123456", "a record number"),
    ("complaint", "patient no. A123456", "a record number"),
    ("complaint", "123-45-6789", "a social security"),
    ("history", ["well", "geb. 03.04.1980"], "a birth date"),
    ("laboratory", [{"name": "Dr. Miller", "value": "1"}], "a name"),
]

LABELLED = {
    "a name": [
        *("Name : John Smith", "NAME: John Smith", "Name: SMITH", "Name: J. Smith", "Name – John Smith"),
        *("name: john smith", "Name John Smith", "Vorname: John", "Surname=Smith", "Name: Will"),
        *("PATIENT: John Smith", "Patient – John Smith", "Patient: SMITH, John", "Patient: Will Smith"),
        *("Mister John Smith", "Doctor Miller", "DOCTOR MILLER", "Dr.Miller", "DR. MILLER", "dr. miller"),
        *("Prof. Dr. Miller", "Dr. med. Miller", "mrs. smith", "mr smith", "MR. SMITH", "MISS SMITH"),
    ],
    "a birth date": [
        *("date of birth 3rd April 1980", "DATE OF BIRTH: 3 APRIL 1980", "DOB=03/04/80"),
        *("born the 3rd of April, 1980", "born april 3rd, 1980", "D.O.B. 3. 4. 1980"),
    ],
    "a record number": [
        *("MRN=12345678", "mrn 12345678", "MRN - 12345678", "Case #: 12345678", "case #12345678"),
        "PatientID=12345678",
    ],
    "a telephone number": ["Phone = 0761 123456", "TEL 0761 123456", "Tel: (0761) 123456"],
}

HARMLESS = [
    *("patient: calm", "Patient: Alert, Oriented", "PATIENT: CALM AND ALERT", "Patient is CALM"),
    *("Patient - no known allergies", "Patient - No Known Allergies", "Patient - EEG Normal"),
    *("Patient-Reported Outcome Measures", "Patient – Restless. Slept badly"),
    *("case 3 of 5", "case #3 of 5", "Case no 3", "born at term, 3rd child", "born 2 weeks early"),
    *("name withheld", "Name: Withheld", "NAME: REDACTED", "name - not given", "can name 3 of 5 animals"),
    *("Medication name: Sertraline 50 mg", "file name: EEG1.edf", "name-calling at school"),
    *("doctor informed", "Doctor Informed", "DR INFORMED", "Dr. informed at 23:10", "dr visit next week"),
    *("Saw the doctor. Patient calm", "professor of neurology", "Frau klagt über Kopfschmerz"),
    *("MR imaging normal, MR Angiography planned", "no lesion on MR. EEG normal", "MS excluded"),
    *("latency 300 ms N400", "P300 at 310 ms. EEG normal", "did not miss a dose", "Signed by dr.lee"),
    *("phone 3 - 4 times a day", "mobile since 2019-03-01", "insurance covers 3 visits"),
    "Patient Health Questionnaire 9: 12 points",
    "Parkinson's disease since 2019-03-01, Multiple Sclerosis excluded",
    "130/80 mmHg, pulse 72, temperature 37.2, 1,250 ml a day",
    "Vitamin B12 250 pg/ml on 2025-11-02; TSH 1.2 mU/l",
    "born in the seventies, third of 4 children; birth was on time",
    "takes ibuprofen 400 mg 3 times a day, called the ward at 23:10",
    "Room 12-4, case history as told by the patient: Tired, restless.",
    "EEG 2025-01-02 10:00:00 to 2025-01-02 10:20:00, 19 channels at 500 Hz",
]


@pytest.mark.parametrize(("key", "value", "what"), IDENTIFYING)
def test_what_looks_like_an_identity_is_refused_and_not_repeated(key: str, value: object, what: str) -> None:
    with pytest.raises(ContextError, match=f"{key}.*holds what looks like {what}") as refusal:
        read_context(json.dumps({"subject": "pseudo-1", key: value}).encode())
    told = str(refusal.value)
    assert told.isprintable() and "pseudonym" in told
    for secret in ("Miller", "Schäfer", "Doe", "jane", "170", "030", "1980", "123"):
        assert secret not in told


@pytest.mark.parametrize(("what", "text"), [(what, text) for what in LABELLED for text in LABELLED[what]])
def test_titles_and_labels_are_known_in_any_case_and_spelling(what: str, text: str) -> None:
    with pytest.raises(ContextError, match=f"history: holds what looks like {what}"):
        read_context(json.dumps({"subject": "pseudo-1", "history": [f"seen again; {text}"]}).encode())


@pytest.mark.parametrize(
    "piece",
    [
        *("Name: ", "Name – A", "Patient: Aa ", "Mr. ", "dr ", "born 1 ", "1980", "April 3rd ", "case # "),
        *("MRN -", "tel (", "+1 ", "a.", "a@", "A'-", "Nachname", " ", "=-"),
    ],
)
def test_a_hostile_text_is_read_to_its_end(piece: str) -> None:
    """Where two repetitions could share letters, this would take longer than the tests may."""
    with contextlib.suppress(ContextError):
        refuse_looks(piece * (65536 // len(piece)), "history")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_a_person_reads_as_such_is_taken(text: str) -> None:
    assert read_context(json.dumps({"subject": "pseudo-1", "history": [text]}).encode()).history == (text,)


def test_everything_known_is_still_taken() -> None:
    assert read_context(json.dumps({"subject": "pseudo-1"} | FULL).encode()).age == FULL["age"]


WHO = {"name": "Jane Doe", "birth_date": "1980-04-03", "mrn": "00123456"}
BED = stream("bed", 'kind = "simulator"', "calibration_s = 4")


@pytest.mark.parametrize("kept", [False, True])
def test_an_identity_is_refused_or_stays_on_the_node(
    mosquitto: Mosquitto, tmp_path: Path, kept: bool
) -> None:
    async def body() -> None:
        toml = ('[drafts]\nidentity = "node"\n' if kept else "") + BED
        file = configuration(tmp_path, mosquitto.port, toml)
        # What is sent as a command is not listened to: only what the node says.
        heard = [f"eegcopilot/v1/lab/n1/{part}" for part in ("+", "bed/#", "cmd/response")]
        async with listening(mosquitto.port, heard[0]) as ear, serving(file) as running:
            for topic in heard[1:]:
                await ear.client.subscribe(topic, qos=1)
            await ear.until(lambda: ear.under("bed/status"))
            context = {"subject": "pseudo-7", "age": 45, "complaint": "restless"}
            answer = await command(ear, "bed", "patient", json.dumps(context | WHO).encode())
            assert answer["ok"] == kept, answer
            # A value that cannot be kept apart is refused in either case.
            hidden = json.dumps(context | {"complaint": "MRN 00123456"}).encode()
            assert not (await command(ear, "bed", "patient", hidden))["ok"]
            deep = json.dumps(context | {"history": [{"name": "Jane Doe"}]}).encode()
            assert not (await command(ear, "bed", "patient", deep))["ok"]
            wrong = json.dumps({"subject": "Jane Doe", "age": "Jane Doe"}).encode()
            assert not (await command(ear, "bed", "patient", wrong))["ok"]
            if kept:
                await ear.until(lambda: ear.under("bed/emotion"), 60)
            await running.finish()
            said = b"".join(bytes(raw.payload) for _, _, raw in ear.heard)
            assert b"Jane" not in said and b"00123456" not in said and b"1980-04-03" not in said
            assert (b"pseudo-7" in said) == kept
        state = tmp_path / "state"
        stored = state / FOLDER / "pseudo-7.json"
        assert stored.is_file() == kept
        if kept:
            assert json.loads(stored.read_text()) == WHO
            assert stored.stat().st_mode & 0o777 == 0o600 and stored.parent.stat().st_mode & 0o777 == 0o700
        elsewhere = [f for f in state.rglob("*") if f.is_file() and f != stored]
        assert elsewhere and not [f for f in elsewhere if b"Jane" in f.read_bytes()]

    asyncio.run(body())
