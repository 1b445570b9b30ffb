"""Public recordings over HTTP, from a server of our own that has the real files, or not quite."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from training.corpora import eegmat
from training.corpora.downloads import eegmat_files, fetch_eegmat
from training.corpora.settings import Eegmat
from training.corpus import CorpusError

ROOT = Path(__file__).parents[1]


class Server(ThreadingHTTPServer):
    """Of a folder; `asked` tells what was fetched."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                asked.append(self.path.rpartition("/")[2])

        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/files/eegmat/1.0.0/"


@pytest.fixture
def published(shared_data: Callable[[str], Path], tmp_path: Path) -> Path:
    """What the publisher has: the recordings, and a table with other headings than ours."""
    folder = tmp_path / "server" / "files" / "eegmat" / "1.0.0"
    folder.mkdir(parents=True)
    for name in eegmat_files():
        (folder / name).symlink_to(shared_data(f"eegmat/{name}").resolve())
    lines = (shared_data("eegmat") / "subjects.csv").read_text().splitlines()
    table = ["\ufeffSubject;Recording year;Gender; Age ;Count quality"]
    for line in lines[1:]:
        subject, age, gender, year, _, quality = line.split(",")
        table.append(f"{subject};{year};{gender};{age};{quality}")
    table.insert(2, "Subject02;2011;F;22;1")  # a person whose recordings are not used
    (folder / "subject-info.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def server(tmp_path: Path, published: Path) -> Iterator[Server]:
    running = Server(tmp_path / "server")
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_eegmat_is_fetched_once_and_checked(
    server: Server, shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    assert fetch_eegmat(data, server.url, progress=False) == 46
    ours = eegmat.sittings(Eegmat(), shared_data("eegmat"))
    found = eegmat.sittings(Eegmat(), data)
    assert [(s.subject, s.person) for s in found] == [(s.subject, s.person) for s in ours]
    for one, two in zip(found[0].files, ours[0].files, strict=True):
        assert one.read_bytes() == two.read_bytes()

    server.asked.clear()
    (data / "Subject05_2.edf").unlink()
    whole = (data / "Subject07_1.edf").read_bytes()
    (data / "Subject07_1.edf").write_bytes(whole[:5000])  # as a run that was stopped might leave it
    fetch_eegmat(data, server.url, progress=False)
    assert sorted(server.asked) == ["Subject05_2.edf", "Subject07_1.edf"]
    assert (data / "Subject07_1.edf").read_bytes() == whole


def test_what_the_server_cannot_give_is_one_line(server: Server, published: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"

    def refused(told: str) -> None:
        with pytest.raises(CorpusError, match=told) as complaint:
            fetch_eegmat(data, server.url, progress=False)
        assert "\n" not in str(complaint.value)

    name = "Subject04_2.edf"
    target = (published / name).readlink()
    (published / name).unlink()
    refused(rf"{name}: the server says 404 .*: run the command again, it goes on from here")
    assert (data / "Subject04_1.edf").is_file() and not (data / name).exists()
    damaged = bytearray(target.read_bytes())
    damaged[5000] ^= 1
    (published / name).write_bytes(damaged)
    refused(rf"{name}: not the published file, its sha256 differs")
    assert not (data / name).exists()
    (published / name).write_bytes(target.read_bytes())

    table = published / "subject-info.csv"
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("Subject34;", "Subject99;"), encoding="utf-8")
    refused(r"subject-info\.csv: no age and gender of Subject34 in it: write subjects\.csv by hand")
    table.unlink()
    refused(r"subject-info\.csv: the server says 404")
    assert not (data / "subjects.csv").exists()
    table.write_text(text, encoding="utf-8")
    assert fetch_eegmat(data, server.url, progress=False) == 46


def test_the_command_names_source_and_licence(server: Server, tmp_path: Path) -> None:
    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "training", "corpus", "--download", "eegmat", *map(str, words)]
        return subprocess.run(command, text=True, capture_output=True, cwd=ROOT)

    done = run("--data", tmp_path / "data", "--base-url", server.url.rstrip("/"))
    assert done.returncode == 0, done.stderr
    assert "46 recordings" in done.stdout and "ODC-By" in done.stdout
    assert "doi:10.3390/data4010014" in done.stdout
    nobody = run("--data", tmp_path / "other", "--base-url", "http://127.0.0.1:9/")
    assert nobody.returncode == 1 and "Traceback" not in nobody.stderr
    told = [line for line in nobody.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1 and "the server cannot be reached" in told[0]
    assert run().returncode == 1
