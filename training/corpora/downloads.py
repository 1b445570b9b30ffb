"""Public recordings fetched for those who have no copy; every file is checked against its sha256."""

from __future__ import annotations

import csv
import logging
from importlib import resources
from io import StringIO
from pathlib import Path
from urllib.parse import urljoin

import pooch
import requests
from tqdm import tqdm

from pipeline.whole import write_whole
from training.corpora import eegmat
from training.corpora.sitting import CorpusError

EEGMAT_URL = "https://physionet.org/files/eegmat/1.0.0/"
EEGMAT_CITATION = (
    "EEG During Mental Arithmetic Tasks 1.0.0, Open Data Commons Attribution License v1.0 (ODC-By). Name the "
    "source wherever these data, or a model trained on them, are passed on:\n"
    "  Zyma I, Tukaev S, Seleznov I, Kiyono K, Popov A, Chernykh M, Shpenkov O. Electroencephalograms during "
    "mental arithmetic task performance. Data 4(1):14, 2019. doi:10.3390/data4010014\n"
    "  Goldberger AL and others. PhysioBank, PhysioToolkit, and PhysioNet. Circulation 101(23), 2000."
)
_PEOPLE = "subject-info.csv"
_TRIES = 2
_TIMEOUT_S = 30.0
_BLOCK = 1 << 16


def eegmat_files() -> dict[str, str]:
    """sha256 by name, of the 46 recordings of 23 people that the recipe uses."""
    text = (resources.files("training") / "corpora" / "eegmat.sha256").read_text()
    return {name: digest for digest, name in (line.split() for line in text.splitlines())}


def fetch_eegmat(folder: Path, base_url: str = EEGMAT_URL, progress: bool = True) -> int:
    """Fetches what is not there yet, or not whole; then writes `subjects.csv`. Returns the number of files.

    Raises TrainingError, one line, at the first file that cannot be had.
    """
    known = eegmat_files()
    store = pooch.create(folder, base_url.rstrip("/") + "/", registry=known, retry_if_failed=_TRIES - 1)
    pooch.get_logger().setLevel(logging.ERROR)
    for name in tqdm(sorted(known), desc="eegmat", unit="file", disable=not progress):
        url = urljoin(store.base_url, name)
        try:
            store.fetch(name, downloader=_download)
        except ValueError:  # pooch's word for another hash
            raise CorpusError(
                f"{url}: not the published file, its sha256 differs: run the command again, or try a mirror "
                "with --base-url"
            ) from None
        except requests.RequestException as why:
            raise CorpusError(f"{url}: {_told(why)}: run the command again, it goes on from here") from None
        except OSError as why:
            raise CorpusError(f"{folder / name}: cannot be written: {why.strerror or why}") from None
    if not (folder / eegmat.TABLE).is_file():
        subjects = {name.split("_")[0] for name in known}
        write_whole(folder / eegmat.TABLE, _people(urljoin(store.base_url, _PEOPLE), subjects))
    return len(known)


def _download(url: str, output: str, store: object) -> None:
    """As pooch calls it; its own downloader leaves the connection open where the server refuses."""
    with requests.get(url, stream=True, timeout=_TIMEOUT_S) as answer:
        answer.raise_for_status()
        with Path(output).open("wb") as file:
            for block in answer.iter_content(_BLOCK):
                file.write(block)


def _people(url: str, subjects: set[str]) -> bytes:
    """PhysioNet's table of people as the loader's: Subject, Age, Gender, of those subjects alone.

    No checksum of it was at hand, so its headings and separator are taken as they come, and what it says is
    checked instead: each subject once, an age, F or M.
    """
    try:
        with requests.get(url, timeout=_TIMEOUT_S) as answer:
            answer.raise_for_status()
            text = answer.content.decode("utf-8-sig", errors="replace")
    except requests.RequestException as why:
        raise CorpusError(f"{url}: {_told(why)}: run the command again, it goes on from here") from None
    separator = ";" if text.partition("\n")[0].count(";") else ","
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["Subject", "Age", "Gender"])
    left = set(subjects)
    for row in csv.DictReader(StringIO(text), delimiter=separator):
        found = {(heading or "").strip().lower(): str(value).strip() for heading, value in row.items()}
        name = found.get("subject", "")
        gender = (found.get("gender") or found.get("sex") or "")[:1].upper()
        age = found.get("age", "").partition(".")[0]
        if name in left and age.isdigit() and gender in ("F", "M"):
            left.remove(name)
            writer.writerow([name, age, gender])
    if left:
        raise CorpusError(
            f"{url}: no age and gender of {', '.join(sorted(left)[:3])}"
            f"{' and others' if len(left) > 3 else ''} in it: write {eegmat.TABLE} by hand, with the columns "
            "Subject, Age, Gender"
        )
    return out.getvalue().encode()


def _told(why: requests.RequestException) -> str:
    if why.response is not None:
        return f"the server says {why.response.status_code} {why.response.reason}"
    if isinstance(why, requests.Timeout):
        return "the server does not answer"
    return "the server cannot be reached, or broke off"
