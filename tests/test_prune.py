"""Language models made smaller: what is left is what counted, and stock transformers reload it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PreTrainedModel, Qwen2Config

from training import tokenizer
from training.bases import Base, fresh, open_base, save_base, shape
from training.errors import TrainingError
from training.lm_settings import Prune
from training.pruning.attention import Heads, plan
from training.pruning.importance import Activation, Taylor, group_l2
from training.pruning.prune import NOTE, prune_base, prune_model, prune_shape
from training.pruning.vocabulary import trim
from training.pruning.widths import prune_widths

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()


def model(
    family: str = "qwen2", heads: int = 4, kv: int = 2, dim: int = 16, layers: int = 2
) -> PreTrainedModel:
    kind = {"qwen2": Qwen2Config, "llama": LlamaConfig}[family]
    return fresh(
        kind(
            vocab_size=300,
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=kv,
            head_dim=dim,
            tie_word_embeddings=family == "qwen2",
            bos_token_id=None,
            eos_token_id=0,
        ),
        seed=1,
    ).eval()


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small base with a tokenizer made for the architecture's page."""
    words = tokenizer.train(("calm", "stress"), [TEXT], size=1500)
    folder = tmp_path_factory.mktemp("base") / "base"
    save_base(Base(fresh(shape("tiny", words), 0), words), folder)
    return folder


@pytest.mark.timeout(600)
def test_the_papers_figures() -> None:
    """0.15 B parameters and 0.294 GiB in bf16 at ratio 0.5 (arXiv 2410.00166, Table I)."""
    done = subprocess.run(
        [sys.executable, "-m", "training", "prune", "--shape", "qwen2-0.5b", "--ratio", "0.5", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert told["parameters"] == 157_559_744
    assert told["bytes_bf16"] / 2**30 == pytest.approx(0.2935, abs=1e-4)
    assert told["before"]["parameters"] == 494_032_768
    assert told["after"]["layers"] == [[448, 2432, 7, 1, 64]] * 24
    assert told["after"]["vocabulary"] == 151_936 and told["reload_error"] < 1e-4


@pytest.mark.parametrize("family", ["qwen2", "llama"])
@pytest.mark.parametrize(("heads", "kv", "dim"), [(4, 2, 16), (6, 2, 16), (9, 3, 8), (4, 4, 8), (3, 1, 12)])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.72])
def test_any_ratio_reloads(family: str, heads: int, kv: int, dim: int, ratio: float) -> None:
    told = prune_shape(model(family, heads, kv, dim), Prune(ratio=ratio))  # raises where logits differ
    assert told.reload_error < 1e-5
    hidden, inner, *_ = told.after.layers[0]
    assert (hidden, inner) == (round(48 * (1 - ratio)), round(96 * (1 - ratio)))
    assert told.after.parameters < told.before.parameters
    assert told.after.vocabulary == 300 and len(set(told.after.layers)) == 1


def test_what_counts_least_is_cut() -> None:
    """Half of the channels are made next to nothing: those are the ones that go."""
    whole = model(layers=1)
    layer = whole.model.layers[0]
    faint_hidden, faint_inner = torch.arange(0, 48, 2), torch.arange(1, 96, 2)
    with torch.no_grad():
        for weight in (layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight):
            weight[faint_inner] *= 1e-3
            weight[:, faint_hidden] *= 1e-3
        layer.mlp.down_proj.weight[:, faint_inner] *= 1e-3
        layer.mlp.down_proj.weight[faint_hidden] *= 1e-3
        for name in ("q_proj", "k_proj", "v_proj"):
            part = getattr(layer.self_attn, name).weight
            part[:, faint_hidden] *= 1e-3
            part[: len(part) // 2] *= 1e-3
        layer.self_attn.o_proj.weight[faint_hidden] *= 1e-3
        layer.self_attn.o_proj.weight[:, : 2 * 16] *= 1e-3
        whole.model.embed_tokens.weight[:, faint_hidden] *= 1e-3
    embedding = whole.model.embed_tokens.weight.detach().clone()
    gate = layer.mlp.gate_proj.weight.detach().clone()
    values = layer.self_attn.v_proj.weight.detach().clone()
    prune_widths(whole, 0.5, "heads", group_l2)
    assert torch.equal(whole.model.embed_tokens.weight, embedding[:, 1::2])
    assert torch.equal(layer.mlp.gate_proj.weight, gate[0::2, 1::2])
    assert torch.equal(layer.self_attn.v_proj.weight, values[16:, 1::2])
    assert whole.lm_head.weight.data_ptr() == whole.model.embed_tokens.weight.data_ptr()


@pytest.mark.parametrize("kind", [Taylor, Activation])
def test_importance_by_text_finds_what_text_does_not_use(kind: type[Taylor] | type[Activation]) -> None:
    """Neurons whose gate is shut have large weights, and do nothing."""
    whole = model(layers=1)
    mlp = whole.model.layers[0].mlp
    shut = torch.arange(0, 96, 2)
    with torch.no_grad():
        mlp.gate_proj.weight[shut] = 0.0
        mlp.up_proj.weight[shut] *= 9.0
        mlp.down_proj.weight[:, shut] *= 9.0
    up = mlp.up_proj.weight.detach().clone()
    rows = [torch.randint(0, 300, (24,), generator=torch.Generator().manual_seed(i)) for i in range(4)]
    # What runs into down_proj from these is nothing, however large its weights are.
    importance = kind(whole, rows)
    down = importance(mlp.down_proj).sum(dim=0)
    assert down[shut].max() < 1e-12 < down[1::2].min()
    if kind is Taylor:
        prune_widths(whole, 0.5, "auto", importance)
        assert mlp.up_proj.weight.shape == (48, 24)
        assert all(any(torch.isin(row, kept).all() for kept in up[1::2]) for row in mlp.up_proj.weight)


def test_heads_that_do_not_fit() -> None:
    assert plan(Heads(14, 2, 64), 0.5, "auto").after == Heads(7, 1, 64)
    half = plan(Heads(9, 3, 64), 0.5, "auto")
    assert half.after == Heads(9, 3, 32) and half.exact and half.pairs == tuple(range(0, 32, 2))
    assert not plan(Heads(9, 3, 64), 0.3, "auto").exact
    with pytest.raises(TrainingError, match="3 key and value heads cannot be cut by"):
        plan(Heads(9, 3, 64), 0.5, "heads")
    with pytest.raises(TrainingError, match="no rotary pair would be left"):
        plan(Heads(9, 3, 4), 0.9, "auto")
    with pytest.raises(TrainingError, match="leaves 0 of 48 channels"):
        prune_widths(model(dim=512), 0.995, "head-dim", group_l2)


def test_layers_that_change_nothing_are_dropped_first() -> None:
    whole = model(layers=4)
    with torch.no_grad():
        for i in (1, 2):
            whole.model.layers[i].self_attn.o_proj.weight.zero_()
            whole.model.layers[i].mlp.down_proj.weight.zero_()
    ids = torch.arange(40)[None]
    with torch.inference_mode():
        before = whole(ids).logits
    _, gone = prune_model(whole, Prune(ratio=0.0, drop_layers=2), [ids[0]])
    assert gone == [1, 2] and len(whole.model.layers) == whole.config.num_hidden_layers == 2
    with torch.inference_mode():
        assert torch.equal(whole(ids).logits, before)
        assert whole.generate(ids, max_new_tokens=3, do_sample=False).shape == (1, 43)
    with pytest.raises(TrainingError, match="keep at least one"):
        prune_model(whole, Prune(ratio=0.0, drop_layers=2), [ids[0]])


def test_a_trimmed_vocabulary_spells_its_domain_as_before(base_folder: Path) -> None:
    base = open_base(base_folder)
    domain = TEXT[: len(TEXT) // 3]
    before = base.tokenizer.encode(domain).tokens
    with torch.inference_mode():
        ids = torch.tensor([base.tokenizer.encode(domain[:300]).ids])
        logits = base.model(ids).logits[0]
    small = trim(base, [domain])
    n = small.tokenizer.get_vocab_size()
    assert (
        n < 1500 and small.model.config.vocab_size == n == small.model.get_input_embeddings().weight.shape[0]
    )
    assert small.tokenizer.encode(domain).tokens == before
    for text in ("Straße, 電気 and\ttabs", TEXT):
        assert small.tokenizer.decode(small.tokenizer.encode(text).ids) == text
    kept = [open_base(base_folder).tokenizer.token_to_id(small.tokenizer.id_to_token(i)) for i in range(n)]
    with torch.inference_mode():
        again = small.model(torch.tensor([small.tokenizer.encode(domain[:300]).ids])).logits[0]
    torch.testing.assert_close(again, logits[:, kept])
    assert small.tokenizer.id_to_token(small.model.config.eos_token_id) == tokenizer.END


def test_at_most_so_many_tokens(base_folder: Path) -> None:
    small = trim(open_base(base_folder), [TEXT], most=700)
    assert 600 < small.tokenizer.get_vocab_size() <= 700
    assert small.tokenizer.decode(small.tokenizer.encode(TEXT).ids) == TEXT


def test_a_folder_is_written_whole(base_folder: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for i in range(300):
        (texts / f"{i}.txt").write_text(f"{i}. {TEXT[i * 10 : i * 10 + 100]}")
    out = tmp_path / "pruned"
    told = prune_base(
        open_base(base_folder), Prune(ratio=0.5, importance="taylor", measured=2), out, texts, [TEXT]
    )
    note = json.loads((out / NOTE).read_text())
    assert note["parameters"] == told.parameters == sum(p.numel() for p in open_base(out).model.parameters())
    assert told.vocabulary_saved > 0 and told.perplexity_before and told.perplexity_after
    stock, words = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert stock.config.hidden_size == 32 and words.eos_token == tokenizer.END
    assert words("emotion: 12")["input_ids"] == open_base(out).tokenizer.encode("emotion: 12").ids


def test_refusals_are_one_line(base_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    save_base(open_base(base_folder), broken)
    (broken / "model.safetensors").write_bytes((broken / "model.safetensors").read_bytes()[:1000])
    for arguments, told in (
        (["--shape", "tiny", "--ratio", "0"], "--ratio must lie between 0 and 1, got 0"),
        (["--shape", "tiny", "--ratio", "1.5"], "--ratio must lie between 0 and 1, got 1.5"),
        (["--shape", "enormous"], "no shape 'enormous'"),
        (["--base", str(tmp_path)], f"no model in {tmp_path}"),
        (["--base", str(broken)], "cannot be read"),
        (["--base", str(base_folder), "--importance", "taylor"], "give --texts"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "training", "prune", "--out", str(tmp_path / "o"), *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith("error: ") and told in done.stderr and done.stderr.count("\n") == 1
        assert not (tmp_path / "o" / "pruned").exists()
