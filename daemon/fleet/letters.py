"""What travels between a thin node and a reader: MessagePack, strict and bounded.

A question holds what the model is told of a window and nothing else: no pseudonym, no times, of the age its
decade. Both sides treat the other's bytes as a stranger's.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta, Struct

from pipeline.calibration import LEVELS
from pipeline.prompt import Person
from pipeline.records import ChannelQuality, CompressedWindow, Span
from pipeline.settings import PipelineSettings
from pipeline.wavelet import METHODS, versioned

# A code is one byte.
assert LEVELS <= 256
# Of a question beside its codes: names of electrodes, properties, topic.
_FRAME_BYTES = 4096
# Probabilities of labels sum to one; two machines round the sum differently.
_SUM_ERROR = 1e-6

# When a window was is the node's affair: no reading depends on it, and it does not travel.
_NO_SPAN = Span(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class Question(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """codes: uint8 (n_channels, n_codes), row by row. decade: of the age, years."""

    method: Annotated[str, Meta(max_length=64)]
    channels: Annotated[list[Annotated[str, Meta(max_length=16)]], Meta(min_length=1, max_length=256)]
    codes: Annotated[bytes, Meta(max_length=1 << 20)]
    decade: Annotated[int, Meta(ge=0, le=120, multiple_of=10)] | None
    gender: Literal["female", "male", "other"] | None


class Judgement(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """p: probability of each label, in the bundle's order. infer_s: duration of the model's run, seconds."""

    p: Annotated[list[Annotated[float, Meta(ge=0, le=1)]], Meta(max_length=1024)]
    infer_s: Annotated[float, Meta(ge=0, le=3600)]


L = TypeVar("L", Question, Judgement)


def packet_bytes(settings: PipelineSettings) -> int:
    """Of the largest question that these settings allow."""
    return len(settings.montage) * METHODS[settings.compression].n_codes + _FRAME_BYTES


def question(window: CompressedWindow, person: Person) -> bytes:
    gender: Literal["female", "male", "other"] | None = None
    match person.gender:
        case "female" | "male" | "other" as gender:
            pass
    told = Question(
        method=window.method,
        channels=list(window.channels),
        codes=window.codes.astype(np.uint8).tobytes(),
        # The prompt knows decades alone, so the reading is the same.
        decade=None if person.age is None else person.age // 10 * 10,
        gender=gender,
    )
    return msgspec.msgpack.encode(told)


def read_question(payload: bytes, settings: PipelineSettings) -> tuple[CompressedWindow, Person]:
    """A window as `Reader.judge` takes it. Raises ValueError, one line, for what these settings forbid."""
    asked = _decode(payload, Question)
    method = METHODS[settings.compression]
    if asked.method != versioned(method):
        raise ValueError(f"compressed as {asked.method!r}, this bundle reads {versioned(method)}")
    known = [name for name in settings.montage if name in asked.channels]
    if known != asked.channels:
        raise ValueError("its channels are not electrodes of the bundle, each once and in its order")
    if len(known) < settings.min_channels:
        raise ValueError(f"{len(known)} channels, it takes {settings.min_channels}")
    if len(asked.codes) != len(known) * method.n_codes:
        raise ValueError(f"{len(asked.codes)} codes for {len(known)} channels of {method.n_codes}")
    codes = np.frombuffer(asked.codes, dtype=np.uint8).reshape(len(known), method.n_codes).astype(np.int16)
    if codes.max() >= LEVELS:
        raise ValueError(f"a code of {codes.max()}, they end at {LEVELS - 1}")
    good = ChannelQuality(np.ones(len(known), dtype=np.bool_), ("",) * len(known), 1.0)
    window = CompressedWindow(codes, tuple(known), asked.method, _NO_SPAN, good)
    return window, Person(asked.decade, asked.gender)


def judgement(p: list[float], infer_s: float) -> bytes:
    return msgspec.msgpack.encode(Judgement(p, infer_s))


def read_judgement(payload: bytes, labels: int) -> Judgement:
    """Raises ValueError, one line, for what is not a distribution over so many labels."""
    told = _decode(payload, Judgement)
    if len(told.p) != labels:
        raise ValueError(f"{len(told.p)} probabilities for {labels} labels")
    if not all(map(math.isfinite, told.p)) or abs(sum(told.p) - 1) > _SUM_ERROR:
        raise ValueError("probabilities that do not sum to one")
    return told


def _decode(payload: bytes, kind: type[L]) -> L:
    try:
        return msgspec.msgpack.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        raise ValueError(" ".join(str(why).split())[:200]) from None
