"""IFD as published (Li et al. 2024; data_analysis.py and data_by_IFD.py), written down a second time."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.core import Sample
from assay.data.synthetic import generate
from assay.indicators import Indicator, Models, Undefined, ready
from assay.model import Given, encode_answers, load_model, load_tokenizer, resolve_base
from shared_data import shared_folder

MOST = 512
HEADER = "### Response:"
ALPACA = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n"
    + HEADER
)


def texts() -> list[tuple[str, str]]:
    """320 instructions of Alpaca without an input, or 60 of our own, with their answers."""
    place = shared_folder()
    if place is None:
        samples = [planted.sample for planted in generate(120, seed=3)]
        return [(s.prompt[0].content, s.answer) for s in samples if s.answer and len(s.messages) == 2][:60]
    with gzip.open(place / "data/alpaca_en_52k/alpaca_data.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = (json.loads(line) for line in lines)
        plain = ((r["instruction"], r["output"]) for r in rows if not r.get("input") and r["output"].strip())
        return [pair for pair, _ in zip(plain, range(320), strict=False)]


def part_loss(network: Any, tokenizer: Any, text: str, answer: str, most: int) -> tuple[float, bool]:
    """Mean loss of the answer's tokens in a text that ends with it, and whether a token is of both parts."""
    ids = tokenizer.encode(text)[:most]
    before = tokenizer.encode(text[: text.rfind(answer)])
    with torch.no_grad():
        logits = network(input_ids=torch.tensor([ids])).logits[0].double()
    log = torch.log_softmax(logits, dim=-1)
    losses = [-float(log[place - 1, ids[place]]) for place in range(len(before), len(ids))]
    return (math.nan if not losses else sum(losses) / len(losses)), ids[: len(before)] != before[: len(ids)]


def published(network: Any, tokenizer: Any, instruction: str, answer: str) -> tuple[float, bool]:
    """Their ratio; their "+ 4" is the length of the header in LLaMA's tokens."""
    prompt = ALPACA.format(instruction=instruction)
    room = MOST - len(tokenizer.encode(prompt)) + len(tokenizer.encode(HEADER))
    alone, crossed = part_loss(network, tokenizer, HEADER + answer, answer, room)
    after, crossed_too = part_loss(network, tokenizer, prompt + answer, answer, MOST)
    return after / alone, crossed or crossed_too


def measured(models: Models, samples: list[Sample]) -> list[Any]:
    (ifd,) = ready(["ifd"], models)
    assert isinstance(ifd, Indicator) and ifd.measure is not None
    return list(ifd.measure(samples))


@pytest.fixture(params=["trained", "random"])
def llama(request: pytest.FixtureRequest, tiny: Callable[..., Path]) -> Path:
    """A Llama of 260,000 trained parameters, and one of random ones."""
    if request.param == "random":
        return tiny("llama")
    place = shared_folder()
    if place is None:
        pytest.skip("the trained model is absent: set ASSAY_SHARED to the folder of shared data")
    return place / "models/stories260k"


def test_ifd_is_the_published_one(llama: Path) -> None:
    network, tokenizer = load_model(llama, "cpu").eval(), load_tokenizer(llama)
    pairs = texts()
    values = measured(
        Models(str(llama), template="alpaca", max_tokens=MOST), [Sample.single(*p) for p in pairs]
    )
    wanted: dict[int, float] = {}
    for row, pair in enumerate(pairs):
        ratio, crossed = published(network, tokenizer, *pair)
        assert not crossed, "no token of this tokenizer is of header and answer at once"
        if ratio <= 1:
            wanted[row] = ratio
    found = {row: v for row, v in enumerate(values) if not isinstance(v, Undefined)}
    decided = {row for row in range(len(pairs)) if abs(wanted.get(row, 2.0) - 1) > 1e-5}
    assert found.keys() & decided == wanted.keys() & decided, "what is above 1 is left out by both"
    assert len(wanted) > 15
    worst = max(abs(found[row] - wanted[row]) for row in found.keys() & wanted.keys())
    assert worst < 1e-5
    best = [set(sorted(v, key=v.__getitem__)[-15:]) for v in (found, wanted)]
    assert best[0] == best[1]


def test_no_end_mark_and_the_same_part_of_the_answer_count(llama: Path) -> None:
    """A cut answer is cut at the same token whether its prompt stands before it or only its header."""
    tokenizer = load_tokenizer(llama, "alpaca")
    samples = [Sample.single("Name three colours.", "red, green and blue " * n) for n in (1, 5, 400)]
    kinds: tuple[Given, ...] = ("prompt", "header", "nothing")
    rows = {given: encode_answers(tokenizer, samples, MOST, given=given) for given in kinds}
    for row, after in enumerate(rows["prompt"]):
        own = sum(after.learned)
        assert tokenizer.eos_token_id not in after.ids
        assert after.cut == (row == 2) and len(after.ids) <= MOST
        for given, head in (("header", tokenizer.encode(HEADER)), ("nothing", [tokenizer.bos_token_id])):
            found = rows[given][row]
            assert found.cut == after.cut and found.ids[: len(head)] == tuple(head)
            assert sum(found.learned) == len(found.ids) - len(head)
            assert sum(found.learned) == own or not found.cut
        assert rows["header"][row].ids[-own:] == after.ids[-own:]


def test_a_long_prompt_leaves_no_answer_and_an_empty_one_is_none() -> None:
    samples = [
        Sample.single("word " * 3000, "yes"),
        Sample.single("Say nothing.", None),
        Sample.single("?", ""),
    ]
    assert all(isinstance(v, Undefined) for v in measured(Models(str(resolve_base("pocket"))), samples))


def test_the_order_and_size_of_batches_change_nothing() -> None:
    samples = [Sample.single(f"Count to {n}.", " ".join(map(str, range(1, n + 1)))) for n in range(1, 40)]
    models = Models(str(resolve_base("pocket")))
    whole = measured(models, samples)
    turned = measured(models, samples[::-1])[::-1]
    for a, b in zip(whole, turned, strict=True):
        assert (a == b) if isinstance(a, Undefined) else a == pytest.approx(b, rel=1e-5)
