from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from assay.core import AssayError, Sample
from assay.data import read, synthetic
from assay.model import (
    Segment,
    TokenTable,
    extend_vocabulary,
    load_model,
    load_tokenizer,
    preset,
    reference_loss,
    resolve_base,
    train_full,
    write_tokens,
)
from assay.model.base._vocabulary import extended, learn_tokens
from assay.view import print_value
from assay.vocabulary import extend
from tiny_models import FAMILIES

PROBES = (
    "Hello world, 你好，世界！",
    "饕餮 😀 x  y\n\n\tz 数据质量决定模型质量。",
    "Ωmega  naïve — “quoted” 𠮷野家 <s> <|im_end|>",
    "数据数据数据，模型 and 数据 mixed数据in words 12345",
)
CHINESE = (
    "数据质量决定模型质量 模型训练需要大量数据 指令微调改善模型回答 我们研究数据规模与质量 饕餮盛宴".split()
)


@cache
def texts() -> tuple[str, ...]:
    """Chinese and English sentences of words that come again and again; a few characters that do not."""
    chance = random.Random(0)
    known = [p.sample.messages[0].content for p in synthetic.generate(120, seed=3)]
    made = ["".join(chance.choices(CHINESE, k=3)) + "。" for _ in range(240)]
    return tuple(chance.sample(known + made, 360))


@pytest.fixture(scope="module")
def extension(tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Each family with up to 120 new tokens: (old folder, new folder, report)."""

    @cache
    def extend(family: str) -> tuple[Path, Path, Any]:
        out = tmp_path_factory.mktemp("extended") / family
        return tiny(family), out, extend_vocabulary(tiny(family), texts, 120, out)

    return extend


def state_of(tokenizer: Any) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    state["model"]["vocab"] |= {token["content"]: token["id"] for token in state["added_tokens"]}
    return state


def naive_merges(
    words: Iterable[tuple[int, ...]], first: int, size: int
) -> list[tuple[tuple[int, ...], ...]]:
    """Byte-pair encoding from its definition: count all pairs, join the most frequent, start again."""
    counts = Counter(words)
    spelt: dict[int, tuple[int, ...]] = {}
    merges = []
    for new in range(first, first + size):
        pairs: Counter[tuple[int, int]] = Counter()
        for word, n in counts.items():
            for pair in pairwise(word):
                pairs[pair] += n
        best = max(pairs, key=lambda p: (pairs[p], -p[0], -p[1]), default=None)
        if best is None or pairs[best] < 2:
            break
        counts = Counter({joined(word, best, new): n for word, n in counts.items()})
        parts = tuple(spelt.get(i, (i,)) for i in best)
        spelt[new] = parts[0] + parts[1]
        merges.append(parts)
    return merges


def joined(word: tuple[int, ...], pair: tuple[int, int], new: int) -> tuple[int, ...]:
    made: list[int] = []
    place = 0
    while place < len(word):
        if word[place : place + 2] == pair:
            made.append(new)
            place += 2
        else:
            made.append(word[place])
            place += 1
    return tuple(made)


def words_of(tokenizer: Any, lines: Iterable[str]) -> list[tuple[int, ...]]:
    """Return the words of byte-level texts as the base's ids, by the tokenizer's own split rule."""
    backend = tokenizer.backend_tokenizer
    words = []
    for line in lines:
        clean = backend.normalizer.normalize_str(line) if backend.normalizer else line
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(clean):
            words.append(tuple(token.id for token in backend.model.tokenize(word)))
    return words


@pytest.mark.parametrize("family", ["bloom", "qwen", "neox", "pocket"])
def test_merges_are_those_of_the_definition(tiny: Callable[..., Path], family: str) -> None:
    tokenizer = load_tokenizer(resolve_base("pocket") if family == "pocket" else tiny(family))
    state = state_of(tokenizer)
    written = {number: token for token, number in state["model"]["vocab"].items()}
    found = learn_tokens(state, texts, 60)
    expected = naive_merges(words_of(tokenizer, texts()), max(written) + 1, 60)
    assert found.merges == tuple(tuple("".join(written[i] for i in part) for part in p) for p in expected)
    assert found.spelt == tuple(left + right for left, right in expected)


@pytest.mark.parametrize("family", ["bloom", "qwen", "neox"])
def test_encoding_applies_old_merges_then_new_ones_in_order(
    extension: Callable[[str], Any], family: str
) -> None:
    old, new, _ = extension(family)
    tokenizer, longer = load_tokenizer(old), load_tokenizer(new)
    state = state_of(tokenizer)
    found = learn_tokens(state, lambda: kept_lines(texts()), 120)
    number = extended(state, found)["model"]["vocab"]
    for text in (*texts()[:40], *PROBES[:2]):
        expected: list[int] = []
        for word in words_of(tokenizer, [text]):
            for left, right in found.merges:
                word = joined(word, (number[left], number[right]), number[left + right])
            expected += word
        assert longer(text, add_special_tokens=False)["input_ids"] == expected


def kept_lines(lines: Iterable[str]) -> list[str]:
    kept = [line for text in lines for line in text.split("\n") if line.strip()]
    return [line for number, line in enumerate(kept) if number % 20 != 19]


@pytest.mark.parametrize("family", FAMILIES)
def test_new_tokens_join_whole_old_ones_and_nothing_else_changes(
    extension: Callable[[str], Any], family: str
) -> None:
    old, new, report = extension(family)
    tokenizer, longer = load_tokenizer(old), load_tokenizer(new)
    first = len(tokenizer)
    assert len(longer) == first + report.new_tokens
    # The identity of old ids, marks among them.
    ids = list(range(first))
    assert longer.convert_ids_to_tokens(ids) == tokenizer.convert_ids_to_tokens(ids)
    assert longer.special_tokens_map == tokenizer.special_tokens_map
    found = learn_tokens(state_of(tokenizer), lambda: kept_lines(texts()), 120)
    untouched = 0
    for text in (*texts(), *PROBES):
        before = tokenizer(text)["input_ids"]
        after = longer(text)["input_ids"]
        spelt = [part for i in after for part in (found.spelt[i - first] if i >= first else (i,))]
        assert spelt == before
        assert longer.decode(after) == tokenizer.decode(before)
        if tokenizer.backend_tokenizer.normalizer is None:
            plain = longer(text, add_special_tokens=False)["input_ids"]
            assert longer.decode(plain, clean_up_tokenization_spaces=False) == text
        untouched += after == before
    assert 0 < untouched < len(texts())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_new_token_can_be_reached(extension: Callable[[str], Any], family: str) -> None:
    _, new, report = extension(family)
    longer = load_tokenizer(new)
    backend = longer.backend_tokenizer
    for number in range(len(longer) - report.new_tokens, len(longer)):
        token = longer.convert_ids_to_tokens(number)
        assert [t.id for t in backend.model.tokenize(token)] == [number]


@pytest.mark.parametrize("family", FAMILIES)
def test_new_rows_are_means_of_the_rows_that_spelt_them(extension: Callable[[str], Any], family: str) -> None:
    old, new, report = extension(family)
    before, after = load_model(old), load_model(new)
    tokenizer = load_tokenizer(old)
    first = len(tokenizer)
    found = learn_tokens(state_of(tokenizer), lambda: kept_lines(texts()), 120)
    assert report.tied == (after.get_output_embeddings().weight is after.get_input_embeddings().weight)
    for table in ("get_input_embeddings", "get_output_embeddings"):
        small, large = getattr(before, table)().weight, getattr(after, table)().weight
        assert len(large) == report.rows == max(len(small), first + report.new_tokens)
        assert torch.equal(large[:first], small[:first])
        for row, ids in enumerate(found.spelt, first):
            assert torch.allclose(large[row], small[list(ids)].mean(dim=0), atol=1e-6)
    ids = torch.tensor([tokenizer("Hello 你好")["input_ids"]])
    assert torch.allclose(after(ids).logits[..., :first], before(ids).logits[..., :first], atol=1e-5)


def test_fallback_takes_frequent_characters_first(extension: Callable[[str], Any]) -> None:
    """In the order of SentencePiece: whole characters, then pieces of letters, none across a space."""
    old, new, report = extension("llama")
    longer = load_tokenizer(new)
    tokens = longer.convert_ids_to_tokens(list(range(len(longer) - report.new_tokens, len(longer))))
    characters, pieces = tokens[: report.new_characters], tokens[report.new_characters :]
    base = load_tokenizer(old).get_vocab()
    assert set(characters) >= {c for c in "数据模型" if c not in base}
    assert all(len(c) == 1 for c in characters)
    assert pieces
    assert all(p.lstrip("▁").isalpha() and "▁" not in p[1:] for p in pieces)


def test_report_says_what_chinese_costs(extension: Callable[[str], Any]) -> None:
    old, new, report = extension("bloom")
    held = [line for n, line in enumerate(texts()) if n % 20 == 19]
    assert report.held_out == len(held)
    han = ["".join(c for c in line if "一" <= c <= "鿿") for line in held]
    for folder, said in zip((old, new), report.per_character, strict=True):
        tokens = sum(len(load_tokenizer(folder)(line)["input_ids"]) for line in han if line)
        assert said == pytest.approx(tokens / sum(map(len, han)))
    assert report.per_character[1] < 0.7 * report.per_character[0]


def test_what_cannot_be_extended_is_refused(tiny: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="too little text"):
        extend_vocabulary(tiny("bloom"), lambda: ["一行"], 10, tmp_path / "out")
    with pytest.raises(AssayError, match="not a size"):
        extend_vocabulary(tiny("bloom"), texts, 0, tmp_path / "out")
    with pytest.raises(AssayError, match="the folder exists"):
        extend_vocabulary(tiny("bloom"), texts, 10, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_small_text_gives_fewer_tokens(tiny: Callable[..., Path]) -> None:
    state = state_of(load_tokenizer(tiny("bloom")))
    found = learn_tokens(state, lambda: ["深度学习深度学习"] * 3, 500)
    assert 0 < len(found.tokens) < 60


def test_right_after_it_a_model_knows_nearly_what_it_knew(tmp_path: Path) -> None:
    """On natural Chinese: bits per byte rise by 15 % at most."""
    seeds = [
        row for row in read(str(files("assay.generation") / "seeds" / "zh.jsonl")) if isinstance(row, Sample)
    ]
    items, known = seeds[:30], [message.content for sample in seeds[30:] for message in sample.messages]
    pocket = resolve_base("pocket")
    report = extend_vocabulary(pocket, lambda: known, 150, tmp_path / "longer")
    assert report.new_tokens > 100
    assert bits(tmp_path / "longer", items) < 1.15 * bits(pocket, items)


@pytest.mark.long
def test_means_of_old_rows_learn_faster_than_random_ones(tmp_path: Path) -> None:
    taught = [p.sample for p in synthetic.generate(400, seed=6, languages=["zh"])]
    items = [p.sample for p in synthetic.generate(80, seed=5, split="eval", languages=["zh"])]
    known = [message.content for sample in taught for message in sample.messages]
    report = extend_vocabulary(resolve_base("pocket"), lambda: known, 400, tmp_path / "mean")
    assert report.per_character is not None
    assert report.per_character[1] < 0.8 * report.per_character[0]
    fresh = load_model(tmp_path / "mean")
    with torch.no_grad():
        torch.manual_seed(0)
        fresh.get_input_embeddings().weight[report.base_tokens :].normal_(std=0.02)
    fresh.save_pretrained(tmp_path / "random")
    load_tokenizer(tmp_path / "mean").save_pretrained(tmp_path / "random")
    mean, random_start = (bits(tuned(tmp_path / name, taught), items) for name in ("mean", "random"))
    assert mean < 0.85 * random_start


def tuned(folder: Path, samples: list[Sample]) -> Path:
    recipe = preset("testbed", warmup_steps=2)
    out = folder.with_name(f"tuned-{folder.name}")
    out.mkdir()
    write_tokens(load_tokenizer(folder), samples, out, 200)
    table = TokenTable(out)
    run = Segment(recipe, 0, len(table), 0, recipe.steps(len(table)))
    train_full(run, base=folder, state=None, table=table, order=np.arange(len(table)), out=out, device="cpu")
    return out / "model"


def bits(folder: Path, items: list[Sample]) -> float:
    found = reference_loss(load_model(folder), load_tokenizer(folder), items)
    losses = [loss for loss in found if loss is not None]
    return sum(loss.nats for loss in losses) / math.log(2) / sum(loss.n_bytes for loss in losses)


def test_verb_writes_the_model_and_says_what_texts_cost(tiny: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(texts()), encoding="utf-8")
    done = extend(str(tiny("llama")), str(tmp_path / "texts.txt"), tmp_path / "out", size=50)
    assert done.report.new_tokens == 50
    assert len(load_tokenizer(tmp_path / "out")) == 650
    screen = Console(file=StringIO(), width=100)
    print_value(done, screen)
    assert "tokens per Chinese character" in screen.file.getvalue()  # type: ignore[attr-defined]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "texts.txt"]
