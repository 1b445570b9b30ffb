"""Tuning on prompts: adapters merged and checked, killed and gone on, in one process or two."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import torch
from accelerate import Accelerator
from peft import LoraModel
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from tuning import HOW, plan, windows

from pipeline import prompt
from training import tokenizer
from training.bases import Base, end_of_text, fresh, open_base, save_base, shape
from training.errors import TrainingError
from training.finetune import NOTE, _AnswerLoss, finetune, hold_out, measure, point
from training.lessons import Lessons
from training.lm_settings import PRESETS, Lora, Pretrain
from training.lora import adapt, merged
from training.stages import head, held_out_text, line, stage
from training.texts import pack

ROOT = Path(__file__).parents[1]
PART = ROOT / "tests" / "parts" / "tuning.py"
LABELS = ("calm", "stress")


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "base"
    words = tokenizer.train(LABELS)
    save_base(Base(fresh(shape("tiny", words), 0), words), folder)
    return folder


def tuning(*arguments: object) -> list[str]:
    return [str(PART), *map(str, arguments)]


ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def test_the_papers_values_are_the_defaults() -> None:
    told = PRESETS["paper"]
    assert told == Lora() == plan().lora.__class__()
    assert (told.r, told.alpha, told.dropout, told.learning_rate) == (8, 32, 0.5, 1e-5)
    assert (told.steps, told.epochs) == (5, 3.0) and told.warmup > 0 and told.weight_decay > 0


def test_the_loss_is_that_of_answer_tokens_alone(base_folder: Path) -> None:
    base = open_base(base_folder)
    how = msgspec.structs.replace(HOW, batch=5, rows=2)
    lessons = Lessons(plan(), how, windows(10), base.tokenizer, end_of_text(base))
    parts = lessons.parts(0)
    assert [len(ids) for ids, *_ in parts] == [2, 2, 1]
    loss = _AnswerLoss(base.model.eval())
    with torch.inference_mode():
        told = sum(float(loss(*part)) for part in parts)
        nats, n = 0.0, 0
        for place in range(5):  # the long way: all logits, one lesson after the other
            lesson = lessons.lesson(0, place)
            text = torch.tensor(lesson.question + lesson.answer)
            logits = base.model(text[None]).logits[0, len(lesson.question) - 1 : -1]
            nats += float(cross_entropy(logits, text[len(lesson.question) :], reduction="sum"))
            n += len(lesson.answer)
            assert base.tokenizer.decode(lesson.question).endswith(prompt.ASK)
            assert lesson.answer[-1] == end_of_text(base)
    assert told == pytest.approx(nats / n, rel=1e-5)


def test_people_held_out_teach_nothing() -> None:
    examples = windows(60)
    how = msgspec.structs.replace(HOW, held_out=1, thin=2)
    taught, asked = hold_out(examples, how)
    assert {e.subject for e in taught} | {e.subject for e in asked} == {e.subject for e in examples}
    assert not {e.subject for e in taught} & {e.subject for e in asked}
    assert len(taught) + len(asked) == 30
    with pytest.raises(TrainingError, match="3 of 3 people cannot be held out"):
        hold_out(examples, msgspec.structs.replace(how, held_out=3))


def test_labels_are_drawn_evenly(base_folder: Path) -> None:
    base = open_base(base_folder)
    examples = [e for i, e in enumerate(windows(200)) if e.label == "calm" or i % 10 == 1]
    drawn = {}
    for balance in (False, True):
        how = msgspec.structs.replace(HOW, balance=balance, answer="label")
        lessons = Lessons(plan(), how, examples, base.tokenizer, end_of_text(base))
        answers = [lessons.lesson(0, i).answer[0] for i in range(len(lessons))]
        drawn[balance] = answers.count(base.tokenizer.encode(" stress").ids[0]) / len(answers)
    assert drawn[False] == pytest.approx(20 / 120) and 0.35 < drawn[True] < 0.65
    with pytest.raises(TrainingError, match="not one example shows stress"):
        Lessons(plan(), HOW, [e for e in examples if e.label == "calm"], base.tokenizer, 1)


def test_adapters_merge_to_the_same_model(base_folder: Path) -> None:
    base = open_base(base_folder)
    texts = [torch.arange(5, 60)]
    adapted = adapt(base, HOW)
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if p.requires_grad:
                p += 0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(len(name)))
    plain, error = merged(adapted, texts)
    assert 0 < error < 1e-3
    assert not any("lora" in name or "delta" in name for name, _ in plain.named_parameters())
    with torch.inference_mode():
        assert not torch.allclose(
            plain(texts[0][None]).logits, open_base(base_folder).model(texts[0][None]).logits
        )
        torch.testing.assert_close(
            plain(texts[0][None]).logits, adapted(texts[0][None]).logits, atol=1e-3, rtol=0
        )
    assert plain.lm_head.weight.data_ptr() == plain.model.embed_tokens.weight.data_ptr()


def test_a_merge_that_says_other_tokens_is_refused(
    base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapted, texts = adapt(open_base(base_folder), HOW), [torch.arange(5, 60)]
    merge = LoraModel.merge_and_unload

    def broken(self: LoraModel, *more: object) -> torch.nn.Module:
        model: torch.nn.Module = merge(self)
        for weight in model.parameters():
            weight.data = weight + 0.5 * torch.randn(weight.shape)
        return model

    merged(adapted, texts)
    monkeypatch.setattr(LoraModel, "merge_and_unload", broken)
    with pytest.raises(TrainingError, match="says other tokens"):
        merged(adapted, texts)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_labels_are_learnt(base_folder: Path, tmp_path: Path, method: str) -> None:
    how = msgspec.structs.replace(
        HOW, r=8, dropout=0.0, epochs=4.0, batch=8, rows=8, answer="label", learning_rate=1e-2, steps=2
    )
    told = finetune(
        open_base(base_folder), plan(), how, windows(120), tmp_path, Accelerator(cpu=True), method=method
    )
    assert ([one.step for one in told] == [1, 2] and told[-1].held_out.people == ("person-0",)) or told
    assert told[-1].held_out.accuracy > 0.9
    tuned = open_base(tmp_path / "tuned")
    assert (tmp_path / "tuned").resolve() == (tmp_path / "step-2").resolve()
    assert measure(tuned, plan(), windows(40, seed=5), 8).accuracy > 0.9
    recipe = msgspec.json.decode((tmp_path / "tuned" / "recipe.json").read_bytes())
    assert recipe["labels"] == list(LABELS) and "pipeline" in recipe and recipe["name"]
    # Again is no work.
    assert (
        finetune(
            open_base(base_folder), plan(), how, windows(120), tmp_path, Accelerator(cpu=True), method=method
        )
        == told
    )


@pytest.mark.timeout(600)
def test_killed_in_the_middle_it_ends_in_the_same_weights(base_folder: Path, tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    steps = 24

    def tuned(out: Path) -> None:
        command = [sys.executable, *tuning(out, base_folder, steps, 0.1)]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    tuned(straight)
    process = subprocess.Popen([sys.executable, *tuning(killed, base_folder, steps, 0.1)], env=ENVIRONMENT)
    states = killed / "finetune-checkpoints"
    until = time.monotonic() + 240
    # In the second step: the first one's folder is there, and a state beyond it.
    while (
        not ((killed / "step-1").exists() and list(states.glob("*-*.pt")))
        and time.monotonic() < until
        and process.poll() is None
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "tuned").exists()
    tuned(killed)
    for step in (1, 2):
        one, other = (load_file(out / f"step-{step}" / "model.safetensors") for out in (straight, killed))
        assert all(torch.equal(one[name], other[name]) for name in one)
        notes = [(out / f"step-{step}" / NOTE).read_bytes() for out in (straight, killed)]
        assert notes[0] == notes[1]


LAUNCHERS = {
    "accelerate": (
        *("accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"),
        *("--mixed_precision", "no", "--dynamo_backend", "no"),
    ),
    "torchrun": ("torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_several_processes_tune_one_model(base_folder: Path, tmp_path: Path, launcher: str) -> None:
    """The batch is shared out, the gradients are added up, one process writes.

    On CPUs without MPI accelerate starts one process; torchrun starts two, which accelerate then joins.
    """
    done = subprocess.run(
        [sys.executable, "-m", *LAUNCHERS[launcher], *tuning(tmp_path / "shared", base_folder, 6, 0.0)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("tuned 12") == {"accelerate": 1, "torchrun": 2}[launcher]
    how = msgspec.structs.replace(HOW, epochs=1.0, dropout=0.0)
    finetune(open_base(base_folder), plan(), how, windows(36), tmp_path / "alone", Accelerator(cpu=True))
    one, other = (load_file(tmp_path / name / "tuned" / "model.safetensors") for name in ("alone", "shared"))
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)
    first = load_file(base_folder / "model.safetensors")
    assert not all(torch.allclose(one[name], first[name], atol=1e-3) for name in one)
    assert not list((tmp_path / "shared").rglob("*.part"))


def test_without_dropout_two_shares_of_a_batch_are_the_batch(base_folder: Path) -> None:
    """What the processes add up is what one would have computed."""
    base = open_base(base_folder)
    how = msgspec.structs.replace(HOW, batch=4, rows=1)
    lessons = Lessons(plan(), how, windows(12), base.tokenizer, end_of_text(base))
    loss = _AnswerLoss(base.model.eval())
    grads = []
    for share in ([0, 1, 2, 3], [0, 2], [1, 3]):
        base.model.zero_grad()
        parts = lessons.parts(1)
        for i in share:
            loss(*parts[i]).backward()
        grads.append(base.model.model.embed_tokens.weight.grad.clone())
    torch.testing.assert_close(grads[1] + grads[2], grads[0])


def test_what_is_not_ours_is_left_alone(base_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "work").write_text("of somebody else")
    with pytest.raises(TrainingError, match="is no link of this program's"):
        point(tmp_path, "step-1")
    shutil.rmtree(tmp_path / "tuned")
    point(tmp_path, "step-1")
    point(tmp_path, "step-2")
    assert (tmp_path / "tuned").readlink() == Path("step-2")


def test_stages_are_asked_the_same(base_folder: Path, tmp_path: Path) -> None:
    """Held-out text is that which training leaves out, whatever the tokenizer."""
    for i in range(60):
        (tmp_path / f"{i}.txt").write_text(f"Number {i}. " * 9)
    how = Pretrain(held_out=0.3, context=32)
    texts = held_out_text(tmp_path, how)
    base = open_base(base_folder)
    packed = pack(tmp_path, base.tokenizer, end_of_text(base), how.held_out, tmp_path / "tokens")
    assert 5 < len(texts) < 40 and "".join(texts) == base.tokenizer.decode(packed.held_out.tolist())
    told = stage("base", base, plan(), texts, windows(12))
    assert told.parameters == sum(p.numel() for p in base.model.parameters())
    assert told.text.perplexity > 100 and told.labels.windows == 12
    assert len(line(told).split()) == len(head().split())
    with pytest.raises(TrainingError, match="too little text"):
        held_out_text(tmp_path, Pretrain(held_out=0.0))
