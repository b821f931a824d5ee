"""Gradients in a sketch keep their cosines; confidence is the mean probability of a model's own answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay.core import Sample
from assay.data import synthetic
from assay.model import (
    Decoding,
    answer,
    answer_confidence,
    encode,
    encode_prompts,
    load_model,
    loss_gradients,
    stop_ids,
)


@pytest.fixture(scope="module")
def network(base: Path) -> Any:
    return load_model(base, "cpu")


@pytest.fixture(scope="module")
def asked() -> list[Sample]:
    return [p.sample for p in synthetic.generate(10, seed=5, types=("math", "open_qa"))]


def test_cosines_of_sketches_are_those_of_gradients(
    network: Any, tokenizer: Any, asked: list[Sample]
) -> None:
    found = loss_gradients(network, tokenizer, [*asked, Sample.single("no answer", None)])
    assert found.rows == tuple(range(10)) and found.tokens == sum(
        len(row.ids) for row in encode(tokenizer, asked, 1024)
    )
    exact = []
    for row in encode(tokenizer, asked, 1024):
        network.zero_grad()
        ids = torch.tensor([row.ids])
        labels = torch.where(torch.tensor([row.learned]), ids, -100)
        network(input_ids=ids, labels=labels).loss.backward()
        exact.append(torch.cat([p.grad.reshape(-1) for p in network.parameters() if p.grad is not None]))
    unit = torch.nn.functional.normalize(torch.stack(exact), dim=1)
    wanted = (unit @ unit.T).numpy()[np.triu_indices(10, 1)]
    assert np.abs(found.cosines() - wanted).max() < 0.01
    assert wanted.max() - wanted.min() > 0.1, "the samples do differ"


def test_confidence_is_the_probability_of_its_own_answer(
    network: Any, tokenizer: Any, asked: list[Sample]
) -> None:
    decoding = Decoding(max_new_tokens=8, batch_size=4)
    found = answer_confidence(network, tokenizer, asked, decoding)
    stops = stop_ids(tokenizer)
    for item, value in zip(asked, found, strict=True):
        (ids,) = encode_prompts(tokenizer, [item.prompt])
        chances: list[float] = []
        while len(chances) < 8 and not (chances and ids[-1] in stops):
            with torch.no_grad():
                shares = network(input_ids=torch.tensor([ids])).logits[0, -1].softmax(dim=-1)
            ids = [*ids, int(shares.argmax())]
            chances.append(float(shares.max()))
        assert value == pytest.approx(float(np.mean(chances)), abs=1e-4)
    assert [a.tokens <= 8 for a in answer(network, tokenizer, asked, decoding)] == [True] * 10
