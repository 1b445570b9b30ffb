"""The paper's Figures 9 and 10: prompts as vectors, clustered without their labels, drawn by t-SNE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score

from pipeline import prompt
from pipeline.guidance.embedding import Embedder
from training.answers import answer_text
from training.corpus import Example
from training.evaluation.measures import Float64, Int64
from training.evaluation.part import evenly
from training.report import pictures
from training.report.record import Clustered

# t-SNE and spectral clustering grow with the square of it.
_MOST = 400
_NEIGHBOURS = 10

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
    """all-MiniLM-L6-v2, which reads the first 256 of its tokens. Raises GuidanceError where there is none."""
    embedder = Embedder(folder, threads=1)
    return lambda told: embedder.embed(told).astype(np.float64)


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


def cluster(
    examples: Sequence[Example],
    labels: Sequence[str],
    embed: Embedding,
    compression: str,
    embedding: str,
    seed: int,
    path: Path,
) -> list[Clustered]:
    """K-means and spectral clustering into as many clusters as labels, drawn side by side in `path`."""
    some = [examples[i] for i in evenly(len(examples), _MOST)]
    shown, people = [e.label for e in some], [e.subject for e in some]
    found, panels = [], []
    for told, kind in ((texts(some), "prompt and treatment"), (questions(some), "prompt alone")):
        vectors = embed(told)
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
                    compression=compression,
                    embedding=f"{embedding}, {kind}",
                    method=name,
                    labels=float(adjusted_rand_score(shown, clusters)),
                    people=float(adjusted_rand_score(people, clusters)),
                    picture=path.name,
                )
            )
            panels.append((f"{name}, {kind}", places.astype(np.float64), clusters, shown))
    pictures.clusters(panels, path)
    return found
