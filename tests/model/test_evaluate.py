from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from assay.core import Sample
from assay.model import Decoding, answer, encode, load_model, reference_loss, render


@pytest.fixture(scope="module")
def model(base: Path) -> Any:
    return load_model(base)


def test_loss_equals_transformers_labels(model: Any, tokenizer: Any, samples: list[Sample]) -> None:
    results = reference_loss(model, tokenizer, samples[:12], micro_tokens=300)
    for sample, found in zip(samples, results, strict=False):
        row = encode(tokenizer, [sample], 1024)[0]
        ids = torch.tensor([row.ids])
        labels = torch.where(torch.tensor([row.learned]), ids, -100)
        with torch.no_grad():
            mean = model(ids, labels=labels).loss.item()
        assert found is not None
        assert found.nats == pytest.approx(mean * found.tokens, rel=1e-4)
        assert found.n_bytes == len((sample.answer or "").encode())


def test_items_without_reference_have_no_loss(model: Any, tokenizer: Any) -> None:
    items = [Sample.single("open question", None), Sample.single("q", "a")]
    first, second = reference_loss(model, tokenizer, items)
    assert first is None
    assert second is not None


def test_greedy_answers_do_not_depend_on_the_batch(model: Any, tokenizer: Any, samples: list[Sample]) -> None:
    items = [*samples[:7], Sample.single("用一句话介绍北京。", None)]
    together = answer(model, tokenizer, items, Decoding(max_new_tokens=8, batch_size=8))
    alone = answer(model, tokenizer, items, Decoding(max_new_tokens=8, batch_size=1))
    assert [a.item for a in together] == [s.id for s in items]
    assert [a.text for a in together] == [a.text for a in alone]


def test_greedy_answer_is_the_argmax_chain(model: Any, tokenizer: Any) -> None:
    item = Sample.single("Name a colour.", None)
    text = render(tokenizer, item.messages, generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    for _ in range(5):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    (found,) = answer(model, tokenizer, [item], Decoding(max_new_tokens=5))
    new = ids[-5:]
    end = new.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in new else 5
    assert found.text == tokenizer.decode(new[:end], skip_special_tokens=True).strip()


def test_sampling_follows_its_seed(model: Any, tokenizer: Any, samples: list[Sample]) -> None:
    def texts(seed: int) -> list[str]:
        decoding = Decoding(max_new_tokens=8, temperature=1.0, top_p=0.9, seed=seed)
        return [a.text for a in answer(model, tokenizer, samples[:4], decoding)]

    assert texts(1) == texts(1)
    assert texts(1) != texts(2)
