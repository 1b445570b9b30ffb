"""An unfused export to ONNX Runtime's own operators: the same numbers from a twentieth of the nodes.

Attention with rotary angles and an in-place key-value cache becomes GroupQueryAttention, a residual with its
norm SkipSimplifiedLayerNormalization, projections of one input become one product, and logits are made only
for the positions that are asked for.

Inputs of the fused graph, int64 but for the past:
  input_ids (batch, length): rows are padded behind.
  attention_mask (batch, past + length): ones for what is real. Its first columns say how much of the cache
      each row has filled, its last `length` columns how much of the row is text.
  logits_to_keep (1,): how many of each row's last real positions get logits.
  past_key_values.{i}.key and .value: float32 (batch, kv_heads, capacity, head_dim).
Outputs: logits, float32 (batch, logits_to_keep, vocabulary); present.{i}.key and .value, shaped like the past
and, where bound to its memory, written in place.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from export.builder import CONTRIB, GraphBuilder
from export.exported import CONFIG, Exported, Linear, Shape
from export.heads import Heads
from export.onnx import ExportError
from export.parity import check_parity
from export.save import save
from pipeline.model import FORMAT, LONGEST, VERSION

# Positions with rotary angles. The longest prompt, 64 electrodes of 50 codes, takes 3,400.
_MOST_POSITIONS = 4096


def fuse(source: Path, target: Path) -> None:
    """source: graph written by `export_onnx`, its config.json beside it.

    Raises ExportError for a graph that is not wholly understood, or whose fused form answers differently.
    """
    shape = Shape.read(source.with_name(CONFIG))
    exported = Exported(source)
    model = _assemble(exported, shape)
    unknown = exported.leftover()
    if unknown:
        raise ExportError(f"{source}: weights that the fusion does not know: {', '.join(unknown[:3])}")
    target.parent.mkdir(parents=True, exist_ok=True)
    save(model, target)
    try:
        check_parity(source, target)
    except ExportError:
        target.unlink()
        raise


def _assemble(exported: Exported, shape: Shape) -> onnx.ModelProto:
    g = GraphBuilder()
    heads = Heads(shape)
    longest = min(shape.longest, _MOST_POSITIONS)
    last, total, kept = _lengths(g)
    cos, sin = heads.rotary(longest)
    rotary = [g.constant("rotary.cos", cos), g.constant("rotary.sin", sin)]
    embedding = exported.embedding()
    x = g.node("Gather", [g.constant("embedding.weight", embedding), "input_ids"], "/embedding")
    residual = ""
    for i in range(shape.layers):
        at, name = f"/layers.{i}", f"model/layers.{i}"
        weight = exported.norm(f"{name}/input_layernorm")
        x, residual = _norm(g, weight, shape.eps, x, residual, f"{at}/attention/norm")
        q, k, v, o = heads.fit(*(exported.linear(f"{name}/self_attn/{part}_proj") for part in "qkvo"))
        x = _linear(g, x, _beside(q, k, v), f"{at}/attention/qkv")
        cache = [f"{i}.key", f"{i}.value"]
        past = [f"past_key_values.{part}" for part in cache]
        x = g.node(
            "GroupQueryAttention",
            [x, "", "", *past, last, total, *rotary],
            f"{at}/attention",
            more=[f"present.{part}" for part in cache],
            domain=CONTRIB,
            num_heads=shape.heads,
            kv_num_heads=shape.kv_heads,
            do_rotary=1,
            scale=shape.head_dim**-0.5,
        )
        if i == shape.layers - 1:
            # Nothing looks at the other positions any more: their keys and values are in the cache.
            x = g.node("GatherND", [x, kept], "/kept", batch_dims=1)
            residual = g.node("GatherND", [residual, kept], "/kept/residual", batch_dims=1)
        x = _linear(g, x, o, f"{at}/attention/out")
        weight = exported.norm(f"{name}/post_attention_layernorm")
        x, residual = _norm(g, weight, shape.eps, x, residual, f"{at}/mlp/norm")
        x = _mlp(g, exported, f"{name}/mlp", x, f"{at}/mlp")
    x, _ = _norm(g, exported.norm("model/norm"), shape.eps, x, residual, "/norm")
    head = exported.linear("lm_head")
    if head.weight.shape != embedding.shape[::-1] or head.bias is not None:
        raise ExportError(f"{exported.path}: a head of {head.weight.shape} does not fit {embedding.shape}")
    _linear(g, x, head, "logits")
    _declare(g, shape, heads.stored_dim, len(embedding))
    return g.model({FORMAT: VERSION, LONGEST: str(longest)})


def _lengths(g: GraphBuilder) -> tuple[str, str, str]:
    """Each row's last position in the cache, int32 (batch,); the furthest row's end, int32 (1,); and where in
    its row each wanted position lies, int64 (batch, keep, 1).

    Padding counts as text for the attention: real positions come before it and never see it, and the next run
    writes over what it left in the cache. That is what lets rows of unlike pasts share a run.
    """
    length = g.node("Gather", [g.node("Shape", ["input_ids"], "/ids/shape"), g.ints(1)], "/length")
    width = g.node("Gather", [g.node("Shape", ["attention_mask"], "/mask/shape"), g.ints(1)], "/width")
    split = g.node("Sub", [width, length], "/split")
    real = g.node("ReduceSum", ["attention_mask", g.ints(1)], "/real", keepdims=0)
    new = g.node("Slice", ["attention_mask", split, width, g.ints(1)], "/new/mask")
    new = g.node("ReduceSum", [new, g.ints(1)], "/new", keepdims=0)
    end = g.node("Add", [g.node("Sub", [real, new], "/past"), length], "/end")
    last = g.node("Cast", [g.node("Sub", [end, g.ints(1)], "/last")], "/last/int32", to=TensorProto.INT32)
    furthest = g.node("ReduceMax", [end], "/furthest", keepdims=1)
    total = g.node("Cast", [furthest], "/total", to=TensorProto.INT32)
    keep = g.node("Squeeze", ["logits_to_keep"], "/keep")
    steps = g.node("Range", [g.scalar(0), keep, g.scalar(1)], "/kept/steps")
    first = g.node(
        "Unsqueeze", [g.node("Sub", [new, "logits_to_keep"], "/kept/first"), g.ints(1)], "/kept/column"
    )
    where = g.node("Add", [first, steps], "/kept/where")
    return last, total, g.node("Unsqueeze", [where, g.ints(2)], "/kept/index")


def _norm(
    g: GraphBuilder, weight: np.ndarray, eps: float, x: str, residual: str, name: str
) -> tuple[str, str]:
    """Returns the norm of x + residual, and that sum, the next residual."""
    scale = g.constant(f"{name}.weight", weight)
    if not residual:
        return g.node("SimplifiedLayerNormalization", [x, scale], name, epsilon=eps, axis=-1, stash_type=1), x
    total = f"{name}/sum"
    g.node(
        "SkipSimplifiedLayerNormalization",
        [residual, x, scale],
        name,
        more=["", "", total],
        domain=CONTRIB,
        epsilon=eps,
    )
    return name, total


def _mlp(g: GraphBuilder, exported: Exported, source: str, x: str, name: str) -> str:
    gate, up, down = (exported.linear(f"{source}/{part}_proj") for part in ("gate", "up", "down"))
    # Apart: what one product of both would need is a copy of all that came out.
    opened = g.node(
        "QuickGelu", [_linear(g, x, gate, f"{name}/gate")], f"{name}/swish", domain=CONTRIB, alpha=1.0
    )
    return _linear(
        g, g.node("Mul", [opened, _linear(g, x, up, f"{name}/up")], f"{name}/act"), down, f"{name}/down"
    )


def _beside(*linears: Linear) -> Linear:
    """One layer that does the work of several with the same input."""
    biased = [linear.bias is not None for linear in linears]
    if any(biased) and not all(biased):
        raise ExportError("of projections with one input some have a bias and some have none")
    bias = [linear.bias for linear in linears if linear.bias is not None]
    weight = np.concatenate([linear.weight for linear in linears], axis=1)
    return Linear(weight, np.concatenate(bias) if bias else None)


def _linear(g: GraphBuilder, x: str, linear: Linear, name: str) -> str:
    weight = g.constant(f"{name}.weight", linear.weight)
    if linear.bias is None:
        return g.node("MatMul", [x, weight], name)
    product = g.node("MatMul", [x, weight], f"{name}/product")
    return g.node("Add", [product, g.constant(f"{name}.bias", linear.bias)], name)


def _declare(g: GraphBuilder, shape: Shape, head_dim: int, vocabulary: int) -> None:
    g.input("input_ids", ["batch", "length"])
    g.input("attention_mask", ["batch", "past_and_length"])
    g.input("logits_to_keep", [1])
    g.output("logits", ["batch", "kept", vocabulary])
    for i in range(shape.layers):
        for part in ("key", "value"):
            dims: list[int | str] = ["batch", shape.kv_heads, "capacity", head_dim]
            g.input(f"past_key_values.{i}.{part}", dims, TensorProto.FLOAT)
            g.output(f"present.{i}.{part}", dims)
