"""`eeg-copilot draft`: whole files for each episode of a real sitting, without a broker."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from episodes_at_hand import FULL
from fhir.resources.bundle import Bundle
from proof import unsourced, unsupported
from pypdf import PdfReader

from daemon.cli import main

EMBEDDER = Path(__file__).parents[1] / "build" / "minilm"
MARK = "unsigned draft, research use only"


@pytest.fixture
def files(shared_data: Callable[[str], Path]) -> list[str]:
    return [str(shared_data(f"eegmat/Subject01_{n}.edf")) for n in (1, 2)]


def patient(folder: Path, **about: object) -> str:
    file = folder / "context.json"
    file.write_text(json.dumps({"subject": "pseudo-1"} | about))
    return str(file)


def test_all_renderings_of_every_episode(files: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--patient", patient(tmp_path, **FULL), "--out", str(out), "--fhir", "R5"]
    assert main(["draft", *files, *arguments, "--start", "2026-01-31T12:00:00Z"]) == 0
    kinds = (
        "draft-{}.json",
        "draft-{}.fhir.json",
        "draft-{}.md",
        "draft-{}.html",
        "draft-{}.pdf",
        "facts-{}.json",
    )
    assert {file.name for file in out.iterdir()} == {kind.format(n) for n in (1, 2) for kind in kinds}
    labels = []
    for n in (1, 2):
        record = json.loads((out / f"draft-{n}.json").read_text())
        assert unsupported(record) == [] and unsourced(record) == []
        assert json.loads((out / f"facts-{n}.json").read_text())["facts"] == record["facts"]
        Bundle.model_validate_json((out / f"draft-{n}.fhir.json").read_text())
        for name in (f"draft-{n}.md", f"draft-{n}.html"):
            assert (out / name).read_text().count(MARK) >= 2
        assert "<svg" in (out / f"draft-{n}.html").read_text()
        pages = PdfReader(io.BytesIO((out / f"draft-{n}.pdf").read_bytes())).pages
        assert pages and all(MARK in page.extract_text() for page in pages)
        labels.append(record["episode"]["label"])
    assert labels == ["calm", "stress"]
    # The recordings are played one after the other: the second episode lies in the second file.
    assert record["episode"]["start"] > "2026-01-31T12:03:02"


def test_times_that_nobody_told_are_not_made_up(files: list[str], tmp_path: Path) -> None:
    assert main(["draft", *files, "--patient", patient(tmp_path), "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "draft-2.json").read_text())
    assert record["episode"]["start"] == "" and "does not tell its time" in record["notes"][0]
    assert "after the recording's first sample" in record["sections"][3]["text"]
    assert "1970" not in (tmp_path / "draft-2.json").read_text()


def test_letters_the_pdf_cannot_show_are_owned_up_to(files: list[str], tmp_path: Path) -> None:
    context = patient(tmp_path, history=["анамнез без особенностей"])
    assert main(["draft", *files, "--patient", context, "--out", str(tmp_path)]) == 0
    text = "".join(page.extract_text() for page in PdfReader(tmp_path / "draft-1.pdf").pages)
    assert "not in this file's font" in text
    assert "анамнез" in (tmp_path / "draft-1.html").read_text()


@pytest.mark.parametrize(
    ("about", "part"),
    [({"name": "Jane Doe"}, "pseudonym only"), ({"age": "old"}, "age"), ({"statu": 1}, "statu")],
)
def test_a_bad_context_is_refused_in_one_line_and_nothing_is_written(
    files: list[str], tmp_path: Path, about: dict[str, object], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["draft", *files, "--patient", patient(tmp_path, **about), "--out", str(out)]) == 1
    told = capsys.readouterr().err
    assert part in told and told.count("\n") == 1 and not out.exists()


def test_guidance_may_be_searched_by_meaning_too(files: list[str], tmp_path: Path) -> None:
    if not (EMBEDDER / "embedder.toml").is_file():
        pytest.skip("no embedder here: make embedder")
    out = tmp_path / "out"
    about = ["--patient", patient(tmp_path), "--out", str(out)]
    assert main(["draft", *files, *about, "--embedder", str(EMBEDDER)]) == 0
    for n in (1, 2):
        record = json.loads((out / f"draft-{n}.json").read_text())
        assert unsupported(record) == [] and unsourced(record) == []


def test_an_embedder_that_is_not_there_is_one_line(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = ["--patient", patient(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["draft", *files, *about, "--embedder", str(tmp_path / "none")]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
