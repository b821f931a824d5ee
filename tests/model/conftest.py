from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.core import Sample
from assay.model import TokenTable, load_tokenizer, resolve_base, write_tokens


@pytest.fixture(scope="session")
def base() -> Path:
    return resolve_base("pocket")


@pytest.fixture(scope="session")
def tokenizer(base: Path) -> Any:
    return load_tokenizer(base)


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    """Samples of very different lengths in both languages."""
    random = np.random.default_rng(0)
    words = ["apple", "river", "seven", "数据", "模型", "blue", "because", "质量", "the", "一"]
    made = []
    for index in range(90):
        picked = random.choice(words, size=2 + int(random.integers(40)))
        made.append(Sample.single(f"Task {index}: repeat {picked[0]}", " ".join(picked[1:])))
    return made


@pytest.fixture(scope="session")
def table(tokenizer: Any, samples: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> TokenTable:
    folder = tmp_path_factory.mktemp("tokens")
    write_tokens(tokenizer, samples, folder, max_tokens=96)
    return TokenTable(folder)
