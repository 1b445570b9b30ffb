"""From weights to a fused, quantised graph: the same answers at every step, or a refusal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging as transformers_logging

from export.blocks import rounded
from export.compensated import compensated
from export.exported import Shape
from export.fidelity import EXACT, QUANTISED, Fidelity
from export.fuse import fuse
from export.onnx import ExportError, export_onnx
from export.paper_shape import save_paper_shape
from export.parity import TOLERANCE, check_parity
from export.quantize import METHODS, quantize
from export.reference import REFERENCE
from export.seal import write_manifest
from export.trial import trial
from export.verify import verify_carried, verify_steps
from pipeline import prompt
from pipeline.bundle import Bundle, file_sha256
from pipeline.model import Model
from pipeline.settings import PipelineSettings
from pipeline.words import Words

# Large enough that heads differ, small enough for a test.
_COMMON = {
    "vocab_size": 300,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
}
SHAPES: dict[str, Callable[[], PreTrainedModel]] = {
    "qwen2, tied": lambda: Qwen2ForCausalLM(
        Qwen2Config(**_COMMON, num_attention_heads=3, num_key_value_heads=3, tie_word_embeddings=True)
    ),
    "qwen2, pruned to 7 heads over 1": lambda: Qwen2ForCausalLM(
        Qwen2Config(**_COMMON, num_attention_heads=7, num_key_value_heads=1, head_dim=32, rope_theta=1e6)
    ),
    "llama, untied, heads pruned to 24": lambda: LlamaForCausalLM(
        LlamaConfig(**_COMMON, num_attention_heads=4, num_key_value_heads=2, head_dim=24)
    ),
    "llama, biased everywhere": lambda: LlamaForCausalLM(
        LlamaConfig(
            **_COMMON,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=16,
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=True,
        )
    ),
}


@dataclass(frozen=True)
class Made:
    model: PreTrainedModel
    plain: Path
    fused: Path


@pytest.fixture(scope="module", params=SHAPES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(SHAPES[request.param], tmp_path_factory.mktemp("shape"))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(SHAPES["qwen2, pruned to 7 heads over 1"], tmp_path_factory.mktemp("one"))


def make(build: Callable[[], PreTrainedModel], folder: Path) -> Made:
    transformers_logging.set_verbosity_error()
    torch.manual_seed(0)
    model = build().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "bias" in name:
                parameter += 0.3 * torch.randn_like(parameter)  # ones and zeros would hide a mix-up
    model.save_pretrained(folder / "trained")
    plain = export_onnx(folder / "trained", folder / "plain")
    fuse(plain, folder / "fused.onnx")
    return Made(model, plain, folder / "fused.onnx")


@torch.inference_mode()
def truth(model: PreTrainedModel, text: list[int]) -> np.ndarray:
    return model(torch.tensor([text])).logits[0].numpy()


def texts(*lengths: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, _COMMON["vocab_size"], n).tolist() for n in lengths]


def test_a_fused_graph_answers_as_torch_does(made: Made) -> None:
    model = Model(made.fused)
    assert check_parity(made.plain, made.fused) <= TOLERANCE
    (text,) = texts(50, seed=5)
    whole = model.run(model.cache(1, 64), [text], keep=50)[0]
    expected = truth(made.model, text)
    assert np.abs(whole - expected).max() < 1e-4 * max(1, np.abs(expected).max())
    nodes = [len(onnx.load(path).graph.node) for path in (made.plain, made.fused)]
    assert nodes[1] < nodes[0] / 7


def test_greedy_text_is_the_same(made: Made) -> None:
    model = Model(made.fused)
    cache, (text,) = model.cache(1, 64), texts(20, seed=7)
    expected = made.model.generate(
        torch.tensor([text]),
        attention_mask=torch.ones(1, 20),
        max_new_tokens=24,
        do_sample=False,
        eos_token_id=None,
    )[0, 20:].tolist()
    found = [int(model.run(cache, [text])[0, 0].argmax())]
    while len(found) < 24:
        found.append(int(model.run(cache, [found[-1:]], 20 + len(found) - 1)[0, 0].argmax()))
    assert found == expected


def test_pieces_behind_a_cached_beginning_equal_the_whole(made: Made) -> None:
    model = Model(made.fused)
    cache, (text, other) = model.cache(1, 64), texts(40, 60, seed=9)
    expected = truth(made.model, text)
    model.run(cache, [other])  # what an earlier text left behind must not show
    for cuts in ([0, 1, 40], [0, 16, 32, 40], [0, 39, 40], [0, 7, 8, 20, 40]):
        for begin, end in pairwise(cuts):
            logits = model.run(cache, [text[begin:end]], begin)[0, 0]
            assert np.allclose(logits, expected[end - 1], atol=1e-4 * max(1, np.abs(expected).max()))


def test_texts_of_unlike_lengths_side_by_side(made: Made) -> None:
    model, rows = Model(made.fused), texts(3, 40, 17, 40)
    together = model.run(model.cache(4, 40), rows, keep=3)
    for row, text in zip(together, rows, strict=True):
        expected = truth(made.model, text)[-3:]
        assert np.allclose(row, expected, atol=1e-4 * max(1, np.abs(expected).max()))


def test_the_cache_is_written_in_place_and_is_bounded(one: Made) -> None:
    model, (text,) = Model(one.fused), texts(10)
    cache = model.cache(1, 12)
    model.run(cache, [text])
    saved = cache.saved(0, 10)
    assert all(np.abs(part).min(axis=(0, 2)).all() for part in saved)
    cache.restore(0, [np.zeros_like(part) for part in saved])
    assert not any(part.any() for part in cache.saved(0, 10))
    with pytest.raises(ValueError, match="13 positions do not fit a cache of 12"):
        model.run(cache, [text[:3]], 10)
    with pytest.raises(ValueError, match="one by one"):
        model.run(model.cache(2, 12), [text[:3], text[:3]], 5)


def test_a_token_of_each_text_goes_on_behind_a_past(one: Made) -> None:
    model, rows = Model(one.fused), texts(9, 9)
    cache = model.cache(2, 9)
    model.run(cache, [row[:8] for row in rows])
    together = model.run(cache, [row[8:] for row in rows], 8)
    for row, found in zip(rows, together, strict=True):
        expected = truth(one.model, row)[-1]
        assert np.allclose(found[0], expected, atol=1e-4 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "rope_scaling"),
        ({"model_type": "gemma"}, "'gemma' cannot be fused"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"layer_types": ["sliding_attention"]}, "full attention"),
        ({"rope_theta": 5e5}, "departs from"),
        ({"rms_norm_eps": 1e-2}, "departs from"),
        ({"num_hidden_layers": 1}, "weights that the fusion does not know"),
        ({"num_hidden_layers": 3}, "no node /model/layers.2"),
        ({"head_dim": 16}, "is 224 wide, not 7 heads of 16"),
    ],
)
def test_what_is_not_understood_is_refused(
    one: Made, tmp_path: Path, change: dict[str, object], told: str
) -> None:
    shutil.copy(one.plain, tmp_path)
    config = json.loads(one.plain.with_name("config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ExportError, match=told) as caught:
        fuse(tmp_path / "model.onnx", tmp_path / "fused.onnx")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "fused.onnx").exists()


def test_a_weight_that_the_fusion_does_not_know_is_refused(one: Made, tmp_path: Path) -> None:
    graph = onnx.load(one.plain)
    extra = onnx.numpy_helper.from_array(np.ones((1, 1, 48), np.float32), "extra.norm")
    graph.graph.initializer.append(extra)
    last = next(node for node in graph.graph.node if node.name == "/lm_head/MatMul")
    graph.graph.node.insert(
        0, onnx.helper.make_node("Mul", [last.input[0], "extra.norm"], ["scaled"], name="x")
    )
    last.input[0] = "scaled"
    onnx.save(graph, tmp_path / "model.onnx")
    shutil.copy(one.plain.with_name("config.json"), tmp_path)
    with pytest.raises(ExportError, match=r"does not know: extra\.norm"):
        fuse(tmp_path / "model.onnx", tmp_path / "fused.onnx")


@pytest.mark.parametrize("method", METHODS)
def test_a_quantised_graph_stays_near(one: Made, tmp_path: Path, method: str) -> None:
    quantize(one.fused, tmp_path / "small.onnx", method)
    model, (text,) = Model(tmp_path / "small.onnx"), texts(40, seed=3)
    assert model.quantisation.startswith(f"{method}: ")
    assert model.shared_scale == METHODS[method].shared_scale
    found, expected = model.run(model.cache(1, 40), [text], keep=40)[0], truth(one.model, text)
    # Random weights forgive nothing; those of a trained model stay far nearer.
    assert np.sqrt(np.square(found - expected).mean() / np.square(expected).mean()) < (
        0.6 if method in ("q4", "g4") else 0.1
    )
    floats = [t for t in onnx.load(tmp_path / "small.onnx").graph.initializer if t.data_type == 1]
    assert max(np.prod(t.dims) for t in floats if "rotary" not in t.name) < 48 * 80  # neither table nor head


def test_blocks_lose_less_than_a_range_up_to_the_largest() -> None:
    rows = np.random.default_rng(5).standard_t(5, (50, 70)).astype(np.float32)
    rows[7] = 0
    values, scales = rounded(rows)
    back = (values * scales[..., None]).reshape(50, -1)[:, :70]
    blocks = np.pad(rows, ((0, 0), (0, 26))).reshape(50, 3, 32)
    plain = np.abs(blocks).max(axis=-1, keepdims=True) / 127
    plain[plain == 0] = 1
    plainly = (np.rint(blocks / plain) * plain).reshape(50, -1)[:, :70]
    assert not back[7].any()
    assert np.square(back - rows).sum() < 0.9 * np.square(plainly - rows).sum()


def test_what_rounding_loses_is_made_up_for_where_inputs_go_together() -> None:
    rng = np.random.default_rng(6)
    common = rng.standard_normal((70, 70)) * np.exp(-np.arange(70) / 12)
    inputs = (rng.standard_normal((900, 70)) @ common.T).astype(np.float32)
    weight = rng.standard_t(4, (70, 40)).astype(np.float32)

    def lost(moment: np.ndarray) -> float:
        values, scales = compensated(weight, moment.astype(np.float32), 32)
        assert values.min() >= -8 and values.max() <= 7 and values.shape == (40, 3, 32)
        back = (values * scales[..., None]).reshape(40, -1)[:, :70].T
        return float(np.linalg.norm(inputs @ (back - weight)) / np.linalg.norm(inputs @ weight))

    # Inputs that have nothing to do with each other leave plain rounding.
    assert lost(inputs.T @ inputs) < 0.6 * lost(np.eye(70))


def test_a_scale_over_the_whole_run_lets_neighbours_in(one: Made, tmp_path: Path) -> None:
    """Why `int8` is marked: beside another text its own comes out differently."""
    rows = texts(30, 30, seed=4)
    for method, how in METHODS.items():
        quantize(one.fused, tmp_path / "small.onnx", method)
        model = Model(tmp_path / "small.onnx")
        alone = model.run(model.cache(1, 30), rows[:1])[0]
        beside = model.run(model.cache(2, 30), rows)[0]
        assert (np.abs(alone - beside).max() > 1e-3) == how.shared_scale


def test_only_fused_graphs_are_quantised(one: Made, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="not a fused graph"):
        quantize(one.plain, tmp_path / "q.onnx", "q8")
    assert Shape.read(one.plain.with_name("config.json")).head_dim == 32


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper's shape with one layer."""
    transformers_logging.set_verbosity_error()
    return save_paper_shape(tmp_path_factory.mktemp("weights") / "paper", layers=1, vocabulary=600)


@pytest.fixture(scope="module")
def tried(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    settings = PipelineSettings(montage=("Fp1", "Fp2", "Cz", "O1", "O2"), compression="w5-energy")
    return trial(trained, tmp_path_factory.mktemp("bundle") / "trial", settings=settings)


def test_a_code_is_one_token_in_any_vocabulary(trained: Path) -> None:
    words = Words(trained / "tokenizer.json")
    assert all(len(words.ids(word)) == 1 for word in prompt.vocabulary())
    whole = "stress 12\nFp1 0 31 7\nemotion: calm, 64 %"
    assert words.text(words.ids(whole)) == whole


def test_a_bundle_proves_itself_and_its_steps(tried: Bundle, trained: Path) -> None:
    assert verify_carried(tried).labels_equal == 1.0
    forms = {row.form: row for row in verify_steps(tried, trained, windows=16)}
    assert list(forms) == ["plain", "fused", "bundle"]
    assert forms["fused"].greedy == 1.0 and forms["bundle"].labels_equal >= 0.99


def test_other_answers_than_the_weights_gave_are_found(tried: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tried.path, tmp_path / "bundle"))
    told = json.loads((folder / REFERENCE).read_text())
    for row in told:
        row["p"] = row["p"][::-1]
    (folder / REFERENCE).write_text(json.dumps(told))
    files = tried.manifest.files | {REFERENCE: file_sha256(folder / REFERENCE)}
    write_manifest(msgspec.structs.replace(tried.manifest, files=files), folder)
    with pytest.raises(ExportError, match="departs from its float32 weights"):
        verify_carried(Bundle.load(folder))


def test_every_bound_is_held() -> None:
    fine = Fidelity("q8", 10, True, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0)
    fine.check(EXACT)
    for name, bad in (
        ("logits_error", 0.5),
        ("greedy", 0.1),
        ("labels_equal", 0.98),
        ("gap_max", 0.06),
        ("macro_f1_change", -0.02),
        ("gap_max", float("nan")),
    ):
        with pytest.raises(ExportError, match=f"{name} is"):
            msgspec.structs.replace(fine, **{name: bad}).check(QUANTISED)
