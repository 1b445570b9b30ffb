"""Training on text: any folder of it, killed at any moment, ends in the same weights."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline import prompt
from training import tokenizer
from training.bases import open_base, save_base
from training.checkpoint import Checkpoints
from training.errors import TrainingError
from training.lm_settings import Pretrain
from training.pretrain import NOTE, _Penalty, from_scratch, pretrain
from training.texts import documents, pack

ROOT = Path(__file__).parents[1]
# The pipeline's own source: it is always at hand, and much alike within.
TEXT = "".join(path.read_text() for path in sorted((ROOT / "pipeline").glob("*.py")))[:60_000]
LABELS = ("calm", "stress")
SHORT = Pretrain(
    shape="tiny",
    vocabulary=1500,
    context=32,
    batch=4,
    epochs=1.0,
    learning_rate=5e-3,
    held_out=0.2,
    measured=8,
)
_WET = """WARC/1.0\r
WARC-Type: warcinfo\r
Content-Length: 4\r
\r
about this crawl, which is no text of a page and long enough to be mistaken for one by its length\r
\r
WARC/1.0\r
WARC-Type: conversion\r
WARC-Target-URI: http://example.org/\r
\r
{page}
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    size = 400
    for i in range(len(TEXT) // size):
        (folder / f"{i:03d}.txt").write_text(TEXT[i * size : (i + 1) * size])
    return folder


def run(*arguments: object, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """limit: bytes a file may grow to, as on a disk that fills up."""
    return subprocess.run(
        [sys.executable, "-m", "training", "pretrain", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None,
    )


def test_every_layout_is_read(tmp_path: Path) -> None:
    page = "A page of its own. " * 10
    (tmp_path / "a.txt").write_text(page + "plain")
    with gzip.open(tmp_path / "b.txt.gz", "wt") as file:
        file.write(page + "gzip")
    (tmp_path / "c.jsonl").write_text(
        "".join(json.dumps({"text": page + f"json {i}"}) + "\n" for i in (1, 2))
    )
    with gzip.open(tmp_path / "d.warc.wet.gz", "wt", newline="") as file:
        file.write(_WET.format(page=page + "crawl"))
    (tmp_path / "wiki.train.tokens").write_text(
        f" = One = \n \n {page}\n = = Part = = \n = Two = \n {page}\n"
    )
    (tmp_path / "README").write_text(page + "no ending")
    (tmp_path / "program").write_bytes(bytes(range(128, 256)) * 9)
    (tmp_path / "picture.png").write_bytes(b"no text")
    found = list(documents(tmp_path))
    assert [text.strip().rsplit(". ", 1)[-1] for text in found[:6]] == [
        "no ending", "plain", "gzip", "json 1", "json 2", "crawl"
    ]  # fmt: skip
    assert len(found) == 8 and found[6].startswith(" = One") and found[7].startswith(" = Two")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.png", b"no text", "no text there"),
        ("x.jsonl", b'{"other": 1}\n', "line 1 is no JSON object with a text field"),
        ("x.txt.gz", gzip.compress(TEXT.encode())[:900], "cannot be read"),
    ],
)
def test_texts_that_cannot_be_used_are_one_line(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    with pytest.raises(TrainingError, match="no such folder"):
        list(documents(tmp_path / "none"))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainingError, match=told):
        list(documents(tmp_path))


def test_long_texts_are_cut_and_nothing_is_lost(tmp_path: Path) -> None:
    text = "".join(f"Line {i} of a book.\n" + "\n" * (i % 7 == 0) for i in range(20_000))
    (tmp_path / "book.txt").write_text(text)
    found = list(documents(tmp_path))
    assert len(found) > 3 and "".join(found) == text
    assert max(map(len, found)) < 140_000


def test_no_copy_of_a_held_out_text_is_trained_on(texts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for path in texts.iterdir():
        for copy in ("", "copy-"):
            (folder / f"{copy}{path.name}").write_bytes(path.read_bytes())
    words = tokenizer.train(LABELS, documents(folder), 1500)
    end = words.token_to_id(tokenizer.END)
    packed = pack(folder, words, end, 0.3, tmp_path / "tokens")
    assert packed.told.copies == packed.told.documents / 2
    sides = [
        {words.decode(part.tolist()) for part in np.split(side, np.flatnonzero(side == end) + 1) if len(part)}
        for side in (packed.train, packed.held_out)
    ]
    assert all(sides) and not sides[0] & sides[1]
    assert {text for side in sides for text in side} == set(documents(texts))
    stamp = (tmp_path / "tokens" / "train.tokens").stat().st_mtime_ns
    pack(folder, words, end, 0.3, tmp_path / "tokens")
    assert (tmp_path / "tokens" / "train.tokens").stat().st_mtime_ns == stamp
    with pytest.raises(TrainingError, match="too little text to hold a part out"):
        pack(folder, words, end, 0.0, tmp_path / "tokens")


def test_a_domain_tokenizer_knows_text_and_prompt(texts: Path) -> None:
    words = tokenizer.train(LABELS, documents(texts), 2000)
    assert all(len(words.encode(word).ids) == 1 for word in prompt.vocabulary())
    plain = tokenizer.train(LABELS)
    assert len(words.encode(TEXT).ids) < 0.7 * len(plain.encode(TEXT).ids)
    for text in (TEXT, "Straße\t電気"):
        assert words.decode(words.encode(text).ids) == text
    with pytest.raises(TrainingError, match="tokens are too few"):
        tokenizer.train(LABELS, documents(texts), 300)


def test_the_terms_are_l1_and_l2(texts: Path) -> None:
    base = from_scratch(SHORT, texts, LABELS)
    how = msgspec.structs.replace(SHORT, l1=1e-3, l2=1e-2)
    matrices = [p for p in base.model.parameters() if p.ndim > 1]
    (1e-3 * sum(p.abs().sum() for p in matrices) + 1e-2 * sum((p**2).sum() for p in matrices)).backward()
    wanted = [p.grad.clone() for p in matrices]
    for p in matrices:
        p.grad = torch.zeros_like(p)
    _Penalty(base.model, how)()
    for p, grad in zip(matrices, wanted, strict=True):
        torch.testing.assert_close(p.grad, grad)


def test_a_base_from_scratch_foretells_text(texts: Path, tmp_path: Path) -> None:
    how = msgspec.structs.replace(SHORT, epochs=0.7)
    base = from_scratch(how, texts, LABELS)
    told = pretrain(base, how, texts, tmp_path / "base", Accelerator(cpu=True))
    assert told.after.perplexity < 0.5 * told.before.perplexity
    assert told.after.bits_per_byte < told.before.bits_per_byte
    stock, words = (kind.from_pretrained(tmp_path / "base") for kind in (AutoModelForCausalLM, AutoTokenizer))
    assert words.pad_token == tokenizer.PAD and stock.config.eos_token_id == words.eos_token_id
    # Again is no work: the result is there. From a teacher, the student comes near it.
    assert (
        pretrain(from_scratch(how, texts, LABELS), how, texts, tmp_path / "base", Accelerator(cpu=True))
        == told
    )
    taught = msgspec.structs.replace(how, teacher_share=1.0)
    student = pretrain(
        from_scratch(taught, texts, LABELS),
        taught,
        texts,
        tmp_path / "student",
        Accelerator(cpu=True),
        teacher=open_base(tmp_path / "base"),
    )
    assert student.after.perplexity < 0.6 * student.before.perplexity


@pytest.mark.timeout(600)
def test_killed_in_the_middle_it_ends_in_the_same_weights(texts: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "short.toml"
    whole = (ROOT / "training" / "recipes" / "eegmat.toml").read_text()
    recipe.write_text(
        whole
        + '\n[pretrain]\nshape = "tiny"\nvocabulary = 1500\ncontext = 32\nbatch = 4\n'
        + "learning_rate = 5e-3\nheld_out = 0.2\nmeasured = 8\nepochs = 100.0\n"
    )
    common = ("--recipe", recipe, "--texts", texts, "--max-steps", 150, "--threads", 1)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    done = run(*common, "--out", straight)
    assert done.returncode == 0, done.stderr
    assert "perplexity on" in done.stdout
    again = [*map(str, common), "--out", str(killed), "--checkpoint-steps", "20"]
    process = subprocess.Popen([sys.executable, "-m", "training", "pretrain", *again], cwd=ROOT)
    states = killed / "base-steps" / "checkpoints"
    until = time.monotonic() + 240
    while not list(states.glob("*-*.pt")) and time.monotonic() < until and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert list(states.glob("*-*.pt")) and not (killed / "base").exists()
    done = run(*again)
    assert done.returncode == 0, done.stderr
    one, other = (load_file(folder / "base" / "model.safetensors") for folder in (straight, killed))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    figures = [json.loads((folder / "base" / NOTE).read_text()) for folder in (straight, killed)]
    assert figures[0] == figures[1]
    assert not states.exists()


@pytest.mark.timeout(600)
def test_two_processes_learn_one_model(texts: Path, tmp_path: Path) -> None:
    """Each computes half of a step's rows; the gradients and the L1 and L2 terms are those of one process."""
    recipe = tmp_path / "short.toml"
    whole = (ROOT / "training" / "recipes" / "eegmat.toml").read_text()
    recipe.write_text(
        f'{whole}\n[pretrain]\nshape = "tiny"\nvocabulary = 1500\ncontext = 32\nbatch = 8\n'
        "learning_rate = 5e-3\nl1 = 1e-4\nl2 = 1e-3\nheld_out = 0.2\nmeasured = 8\n"
    )
    common = ("--recipe", recipe, "--texts", texts, "--max-steps", 8, "--threads", 1)
    done = run(*common, "--out", tmp_path / "alone")
    assert done.returncode == 0, done.stderr
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    words = (*common, "--out", tmp_path / "shared")
    launched = subprocess.run(
        [sys.executable, *launcher, "-m", "training", "pretrain", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert launched.returncode == 0, launched.stderr[-2000:]
    assert launched.stdout == done.stdout  # perplexities to a tenth; told once, by one process
    one, other = (load_file(tmp_path / name / "base" / "model.safetensors") for name in ("alone", "shared"))
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)
    assert not list((tmp_path / "shared").rglob("*.part"))


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states = Checkpoints(tmp_path)
    assert states.newest() is None
    for step in (1, 2, 3):
        states.save(step, {"step": step, "w": torch.full((500,), float(step))})
    last = sorted(tmp_path.glob("*.pt"))
    assert len(last) == 2 and states.newest()["step"] == 3
    content = bytearray(last[-1].read_bytes())
    content[len(content) // 2] ^= 1
    last[-1].write_bytes(content)
    assert states.newest()["step"] == 2
    assert "damaged, going on from the one before" in capsys.readouterr().out
    last[0].write_bytes(last[0].read_bytes()[:100])
    assert states.newest() is None


def test_what_cannot_go_on_is_one_line(texts: Path, tmp_path: Path) -> None:
    base = from_scratch(SHORT, texts, LABELS)
    out = tmp_path / "base"
    Checkpoints(tmp_path / "base-steps" / "checkpoints").save(
        1, {"fingerprint": "another", "step": 1, "weights": {}, "optimiser": {}}
    )
    with pytest.raises(TrainingError, match="begun with other settings, texts or weights"):
        pretrain(base, SHORT, texts, out, Accelerator(cpu=True))
    other = from_scratch(msgspec.structs.replace(SHORT, vocabulary=1400), texts, LABELS)
    with pytest.raises(TrainingError, match="teacher has another tokenizer"):
        pretrain(base, SHORT, texts, out, Accelerator(cpu=True), teacher=other)
    assert not out.exists()


@pytest.mark.timeout(400)
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(texts: Path, tmp_path: Path) -> None:
    base = from_scratch(SHORT, texts, LABELS)
    save_base(base, tmp_path / "begin")
    common = ("--base", tmp_path / "begin", "--texts", texts, "--max-steps", 3, "--out", tmp_path / "out")
    done = run(*common, limit=300_000)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("error: ")]
    assert "cannot be written" in line
    assert not (tmp_path / "out" / "base").exists()
    assert not list((tmp_path / "out").rglob("*.part"))
