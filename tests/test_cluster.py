"""Work on Ray: the same bytes as on one machine, whatever is lost on the way; and what is refused."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_at_hand import (
    PARTS,
    Nodes,
    children,
    contents,
    recorded,
    run,
    short_recipe,
    start,
    table,
    wait,
    wait_gone,
)
from cluster_at_hand import nodes as made_nodes

from daemon.label_folder import Made, begin_folder
from pipeline.bundle import Bundle, shipped_bundle

RECORDINGS = 200
pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with made_nodes() as found:
        yield found


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    table(folder, RECORDINGS)
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return short_recipe(tmp_path_factory.mktemp("recipe") / "short.toml")


def test_a_node_killed_half_way_changes_no_byte(
    nodes: Nodes, recordings: Path, recipe: Path, tmp_path: Path
) -> None:
    told = ["-m", "training", "corpus", "--recipe", recipe, "--data", recordings, "--out"]
    making = start(*told, tmp_path / "ray", "--engine", "ray", "--ray-address", nodes.address)
    made = tmp_path / "ray" / "corpus"
    wait(lambda: len(list(made.glob("*.npz"))) >= RECORDINGS // 3, making)
    assert nodes.kill_one() > 1
    there = len(list(made.glob("*.npz")))
    out, errors = making.communicate(timeout=150)
    assert making.returncode == 0, errors
    assert RECORDINGS // 3 <= there < RECORDINGS
    assert out.startswith(f"{RECORDINGS} people, ")
    local = run(*told, tmp_path / "local", "--jobs", 1)
    assert local.returncode == 0, local.stderr
    assert contents(made) == contents(tmp_path / "local" / "corpus")
    assert len(contents(made)) == RECORDINGS + 1
    assert local.stdout.replace("/local/", "/ray/") == out


def test_only_what_was_lost_is_done_again(nodes: Nodes, tmp_path: Path) -> None:
    log = tmp_path / "log"
    doing = start(PARTS / "ray_pieces.py", nodes.address, log, 60)
    wait(lambda: log.exists() and len(log.read_text().splitlines()) >= 20, doing)
    nodes.kill_one()
    out, errors = doing.communicate(timeout=150)
    assert doing.returncode == 0, errors
    *kept, last = out.splitlines()
    assert last == "all" and sorted(map(int, kept)) == list(range(60))
    begun = Counter(line.split()[0] for line in log.read_text().splitlines())
    # Of one core, one piece at a time was lost.
    assert set(begun) == {str(item) for item in range(60)} and begun.total() <= 61


def listening(pids: set[int]) -> set[str]:
    """Addresses, as /proc has them, on which these processes take connections."""
    sockets = set()
    for pid in pids:
        for end in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(str(end.readlink()))
            except OSError:
                continue
    found = set()
    for kind in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in sockets:
                found.add(local.partition(":")[0])
    return found


def test_a_cluster_of_ones_own_listens_on_the_loopback_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    doing = start(PARTS / "ray_pieces.py", "", log, 30)
    wait(lambda: log.exists() and len(log.read_text().splitlines()) >= 4, doing)
    processes = {doing.pid, *children(doing.pid)}
    where = listening(processes)
    _, errors = doing.communicate(timeout=150)
    assert doing.returncode == 0 and errors == ""
    assert len(processes) > 5 and where
    assert where <= {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    wait_gone(processes)


def test_what_cannot_be_is_one_line(recordings: Path, recipe: Path, tmp_path: Path) -> None:
    told = ["-m", "training", "corpus", "--recipe", recipe, "--data", recordings, "--out", tmp_path / "out"]
    nobody = run(*told, "--engine", "ray", "--ray-address", "127.0.0.1:9")
    assert nobody.returncode == 1
    assert nobody.stderr.splitlines()[-1].startswith(
        "error: 127.0.0.1:9: no Ray cluster answers there (Connection refused): start one with `ray start"
    )
    local = run(*told, "--ray-address", "127.0.0.1:9")
    assert local.returncode == 1 and "--ray-address goes with --engine ray" in local.stderr


def test_without_ray_only_its_engine_is_missing(recordings: Path, recipe: Path, tmp_path: Path) -> None:
    """As where the extra is not installed: the import fails."""
    program = (
        "import sys, runpy; sys.modules['ray'] = None; runpy.run_module('training', run_name='__main__')"
    )
    few = tmp_path / "few"
    few.mkdir()
    for name in ("person-000.edf", "person-001.edf"):
        (few / name).symlink_to(recordings / name)
    (few / "labels.csv").write_text("".join((recordings / "labels.csv").read_text().splitlines(True)[:5]))
    told = ["-c", program, "corpus", "--recipe", recipe, "--data", few, "--out", tmp_path / "out"]
    refused = run(*told, "--engine", "ray")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        "error: --engine ray needs Ray: pip install 'eeg-emotion-copilot[ray]'"
    )
    local = run(*told, "--jobs", 2)
    assert local.returncode == 0, local.stderr


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six sittings, one of them in two files, and a file that is none."""
    folder = tmp_path_factory.mktemp("ward")
    for number in range(5):
        recorded(folder / f"bed-{number}.edf", number, 40)
    (folder / "bed-5").mkdir()
    for part in (1, 2):
        recorded(folder / "bed-5" / f"{part}.edf", 5 + part, 30)
    (folder / "damaged.edf").write_bytes(b"0" * 1000)
    return folder


def test_a_folder_is_labelled_alike_here_and_on_ray(ward: Path, tmp_path: Path) -> None:
    told = ["-m", "daemon", "label", ward, "--calibrate-seconds", 10, "--threads", 1, "--jsonl"]
    local = run(*told, tmp_path / "local")
    assert local.returncode == 1 and "not labelled: damaged: " in local.stderr
    assert "6 sittings in" in local.stderr
    there = contents(tmp_path / "local")
    assert set(there) == {"labelling.json", *(f"bed-{n}.jsonl" for n in range(6))}
    rows = [json.loads(line) for line in there["bed-5.jsonl"].splitlines()]
    assert [Path(row["file"]).name for row in rows] == sorted(Path(row["file"]).name for row in rows)
    assert {Path(row["file"]).name for row in rows} == {"1.edf", "2.edf"}

    ray = run(*told, tmp_path / "ray", "--engine", "ray")
    assert ray.returncode == 1 and contents(tmp_path / "ray") == there, ray.stderr

    # What is there stays; what is missing, or older than its recording, is done again.
    (tmp_path / "ray" / "bed-1.jsonl").unlink()
    os.utime(tmp_path / "ray" / "bed-2.jsonl", (0, 0))
    again = run(*told, tmp_path / "ray")
    assert "4 of 7 sittings were labelled before" in again.stderr and "2 sittings in" in again.stderr
    assert contents(tmp_path / "ray") == there


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--jsonl", "-"), "--jsonl names a folder too"),
        (("--jsonl", "OUT", "--age", "40"), "--age and --gender are one person's"),
        (("--jsonl", "OUT", "--ray-address", "auto"), "--ray-address goes with --engine ray"),
        (("--jsonl", "OUT", "--mains", "60"), "labelled with another bundle or other options"),
    ],
)
def test_what_a_folder_cannot_have_is_one_line(
    ward: Path, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    begin_folder(tmp_path, Made(Bundle.load(shipped_bundle()).id, "", 50, None, None))
    told = [str(tmp_path) if word == "OUT" else word for word in more]
    refused = run("-m", "daemon", "label", ward, *told)
    assert refused.returncode == 1 and said in refused.stderr and refused.stderr.count("\n") == 1
