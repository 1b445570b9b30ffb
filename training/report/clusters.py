"""The paper's Figures 9 and 10: prompts as vectors, clustered without their labels, drawn by t-SNE."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score

from pipeline import prompt
from pipeline.bundle import file_sha256
from pipeline.guidance.embedding import Embedder
from pipeline.whole import write_whole
from training.answers import answer_text
from training.corpus import Example
from training.evaluation.material import Material, Place
from training.evaluation.measures import Float64, Int64
from training.evaluation.part import evenly
from training.evaluation.variants import AS_RECORDED, prompts, variant_of
from training.report import pictures
from training.report.record import Clustered
from training.workers import workers

# Prompts in a picture; each of 50 codes a line takes the sentence embedder a second.
MOST, MOST_QUICK = 100, 18
_NEIGHBOURS = 10
# Characters of a prompt that all-MiniLM-L6-v2 is sure to read: it reads 256 tokens, and a code takes one
# together with the space before it.
_PIECE = 500
# Raised when the same settings come to mean another picture.
_VERSION = 1

Embedding = Callable[[Sequence[str]], Float64]


def texts(examples: Sequence[Example]) -> list[str]:
    """Prompt and treatment in one string, as the paper embeds them; the emotion itself is not in it."""
    return [
        prompt.question(example.window, example.person)
        + answer_text(example.label, example.window).removeprefix(f" {example.label}")
        for example in examples
    ]


def questions(examples: Sequence[Example]) -> list[str]:
    """The prompt alone: nothing in it was written by somebody who knew the label."""
    return [prompt.question(example.window, example.person) for example in examples]


def sentence_embedding(folder: Path) -> Embedding:
    """all-MiniLM-L6-v2; a text that is longer than it reads is the mean of its pieces, cut between lines.

    Raises GuidanceError where there is none.
    """
    embedder = Embedder(folder, threads=1)
    known: dict[str, Float64] = {}  # a prompt comes with its treatment and without

    def embed(told: Sequence[str]) -> Float64:
        cut = [pieces(text) for text in told]
        new = sorted({piece for some in cut for piece in some} - known.keys())
        known.update(zip(new, embedder.embed(new).astype(np.float64), strict=True))
        return np.stack([np.mean([known[piece] for piece in some], axis=0) for some in cut])

    return embed


def pieces(text: str) -> list[str]:
    """Whole lines together, as many as fit into _PIECE characters; a longer line is a piece of its own."""
    found: list[str] = []
    for line in text.splitlines(keepends=True):
        if found and len(found[-1]) + len(line) <= _PIECE:
            found[-1] += line
        else:
            found.append(line)
    return found


def hidden_states(folder: Path) -> Embedding:
    """A language model's own last hidden states, averaged over the text's tokens."""
    import torch  # late: clusters of sentences do without

    from training.bases import open_base

    base = open_base(folder)

    @torch.inference_mode()
    def embed(told: Sequence[str]) -> Float64:
        rows = []
        for text in told:
            ids = torch.tensor([base.tokenizer.encode(text, add_special_tokens=False).ids])
            hidden = base.model.model(input_ids=ids, use_cache=False).last_hidden_state
            rows.append(hidden[0].mean(dim=0).double().numpy())
        return np.stack(rows)

    return embed


@dataclass(frozen=True, slots=True)
class Picture:
    """One embedding of one variant's prompts, to be clustered and drawn.

    told: the embedding's name. model: folder of its weights; sentences: whether of all-MiniLM-L6-v2. most:
    prompts, evenly over the windows; a window of 500 codes a line is ten prompts, as models read it.
    folder: for the SVG and the figures beside it.
    """

    place: Place
    variant: str
    told: str
    model: Path
    sentences: bool
    most: int
    folder: Path

    @property
    def compression(self) -> str:
        return self.place.recipe.pipeline.compression if self.variant == AS_RECORDED else self.variant

    @property
    def path(self) -> Path:
        slug = "".join(c if c.isalnum() else "-" for c in f"{self.compression}-{self.told}".lower())
        return self.folder / f"clusters-{slug}.svg"


class Drawn(msgspec.Struct, frozen=True):
    """The figures of a picture, and of what they were made."""

    fingerprint: str
    found: list[Clustered]


def draw(pictured: Sequence[Picture], jobs: int) -> list[Clustered]:
    """Several at once; those that are there are not drawn again. Raises TrainingError."""
    # In processes of one thread: where other programs run, threads that wait for each other take far longer.
    with workers(jobs, list) as pool:
        for _ in pool.each(_draw, pictured):
            pass
    return [one for picture in pictured for one in _read(picture).found]


def _draw(picture: Picture) -> None:
    mark = _mark(picture)
    if picture.path.is_file() and _done(picture, mark):
        return
    place = picture.place
    examples = Material(place).examples(variant_of(place.recipe, picture.variant))
    told = [one for example in examples if not example.shifted for one in prompts(example)]
    some = [told[i] for i in evenly(len(told), picture.most)]
    embed = sentence_embedding(picture.model) if picture.sentences else hidden_states(picture.model)
    drawn = Drawn(mark, cluster(some, picture, embed))
    write_whole(_figures(picture), msgspec.json.format(msgspec.json.encode(drawn)) + b"\n")


def _figures(picture: Picture) -> Path:
    return picture.path.with_suffix(".json")


def _mark(picture: Picture) -> str:
    """Of everything that decides a picture."""
    place = picture.place
    weights = sorted(path for path in picture.model.iterdir() if path.suffix in (".onnx", ".safetensors"))
    told = (
        _VERSION,
        picture.told,
        picture.most,
        place.recipe.seed,
        place.recipe.labels,
        place.recipe.evaluate.people,
        place.fingerprint(variant_of(place.recipe, picture.variant)),
        [file_sha256(path) for path in weights],
    )
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def _done(picture: Picture, mark: str) -> bool:
    try:
        return _read(picture).fingerprint == mark
    except (OSError, msgspec.DecodeError):
        return False


def _read(picture: Picture) -> Drawn:
    return msgspec.json.decode(_figures(picture).read_bytes(), type=Drawn)


def cluster(some: Sequence[Example], picture: Picture, embed: Embedding) -> list[Clustered]:
    """K-means and spectral clustering into as many clusters as labels, drawn side by side."""
    labels, seed = picture.place.recipe.labels, picture.place.recipe.seed
    shown, people = [e.label for e in some], [e.subject for e in some]
    found, panels = [], []
    for written, kind in ((texts(some), "prompt and treatment"), (questions(some), "prompt alone")):
        vectors = embed(written)
        places = TSNE(perplexity=min(30.0, (len(some) - 1) / 3), init="pca", random_state=seed).fit_transform(
            vectors.astype(np.float32)
        )
        n = min(len(labels), len(some) - 1)
        methods: dict[str, Int64] = {
            "K-means": KMeans(n, n_init=10, random_state=seed).fit_predict(vectors),
            "spectral": SpectralClustering(
                n,
                affinity="nearest_neighbors",
                n_neighbors=min(_NEIGHBOURS, len(some) - 1),
                random_state=seed,
            ).fit_predict(vectors),
        }
        for name, clusters in methods.items():
            found.append(
                Clustered(
                    compression=picture.compression,
                    embedding=f"{picture.told}, {kind}",
                    method=name,
                    labels=float(adjusted_rand_score(shown, clusters)),
                    people=float(adjusted_rand_score(people, clusters)),
                    picture=picture.path.name,
                )
            )
            panels.append((f"{name}, {kind}", places.astype(np.float64), clusters, shown))
    pictures.clusters(panels, picture.path)
    return found
