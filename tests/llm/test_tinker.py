"""Tinker's SDK against a scripted server: each batch applied once and in order, none paid twice unseen."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tinker", reason="Tinker's SDK is not installed: pip install tinker")

from tinker_server import HURRIED, Hurried, TinkerProvider, batch, expected
from tune_server import tuning

from assay.core import AssayError
from assay.llm import Asked, Course, Tinker, TuneConfig, Tuned, find_price, is_hosted, training_price
from assay.llm import _faults as faults

BASE = "tinker/Qwen/Qwen3-8B"
STEPS = 7
EVERY = dict.fromkeys(("limited", "error", "lost", "cut", "reset"), 0.03)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr("tinker._base_client.INITIAL_RETRY_DELAY", 0.01)
    for place in HURRIED:
        monkeypatch.setattr(place, Hurried())


def course(word: str, steps: int = STEPS) -> Course:
    adam = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01, "grad_clip_norm": 1.0}
    return Course([7] * steps, lambda step: batch(word, step), {"rank": 8, "seed": 3}, adam)


def key(word: str) -> str:
    return word.encode().hex().ljust(64, "0")


def opened(provider: TinkerProvider, folder: Path, **changes: Any) -> Any:
    own = TuneConfig(base_url=provider.url.removesuffix("/v1"), save_every=1)
    return Tinker(BASE, replace(own, **changes), calls=folder / "calls", run="study")


def train(provider: TinkerProvider, folder: Path, word: str, **changes: Any) -> Tuned:
    journal = folder / f"{word}.jsonl"
    with opened(provider, folder, **changes) as tinker:
        return tinker.train(key(word), course(word), journal=journal, advance=lambda a, b, c: None)


def learned(provider: TinkerProvider, model: str) -> list[tuple[str, float]]:
    return provider.stored[model].log


def counted(folder: Path) -> int:
    with sqlite3.connect(folder / "calls" / "calls.sqlite") as db:
        spent = db.execute("SELECT coalesce(sum(tokens), 0) FROM spent").fetchone()[0]
        return int(spent + db.execute("SELECT coalesce(sum(tokens), 0) FROM job").fetchone()[0])


@pytest.fixture
def provider() -> Iterator[TinkerProvider]:
    with tuning(TinkerProvider) as running:
        yield running


def test_a_run_in_the_order_given_is_found_again(provider: TinkerProvider, tmp_path: Path) -> None:
    found = train(provider, tmp_path, "one", save_every=3)
    assert found.model.startswith("tinker://session-0:train:0/sampler_weights/assay-")
    held = provider.stored[found.model]
    assert held.log == expected("one", STEPS)
    assert held.lora == {"rank": 8, "seed": 3, "train_unembed": False, "train_mlp": True, "train_attn": True}
    assert [step for step, _ in found.losses] == list(range(STEPS))
    # Four learned tokens of a batch, each with the same share of the loss.
    assert [loss for _, loss in found.losses] == pytest.approx([1 / (1 + step) for step in range(STEPS)])
    assert [one["checkpoint_type"] for one in provider.shelf.values()].count("training") == 2
    assert found.tokens == 7 * STEPS == counted(tmp_path) and provider.tokens == 5 * STEPS
    # Others stand before it on the list, whose pages are short.
    assert learned(provider, train(provider, tmp_path, "two").model) == expected("two", STEPS)
    before, other = provider.asked["forward_backward"], tmp_path / "other"
    other.mkdir()
    assert train(provider, tmp_path, "one") == found
    assert train(provider, other, "one").model == found.model
    assert provider.asked["forward_backward"] == before


def test_no_fault_loses_a_batch_or_applies_it_twice(tmp_path: Path) -> None:
    words = [f"run{number}" for number in range(6)]
    with tuning(TinkerProvider, faults=EVERY, seed=5) as provider:
        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(lambda word: train(provider, tmp_path, word), words))
        assert set(provider.met) == set(EVERY) and sum(provider.met.values()) > 20
        for word, one in zip(words, found, strict=True):
            assert learned(provider, one.model) == expected(word, STEPS)
        assert set(provider.paid.values()) == {1}
        assert counted(tmp_path) == 7 * STEPS * len(words) >= provider.billed()


class Killed(BaseException):
    """The process ends here, whatever it was about to do."""


@pytest.mark.parametrize("save_every", [1, 3])
def test_a_crash_between_request_and_reply(
    provider: TinkerProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_every: int
) -> None:
    """Killed after each request in turn, it ends in the same model; what was in flight is paid again."""
    news, crashes, left = Tinker._news, 0, [0]

    def killed(self: Tinker, future: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            # The server has the request and answers; nobody is there to hear it.
            news(self, future)
            raise Killed
        return news(self, future)

    monkeypatch.setattr(Tinker, "_news", killed)
    found = None
    while found is None:
        left[0] = 4 + crashes % 5 + 2 * save_every
        try:
            found = train(provider, tmp_path, "crash", save_every=save_every)
        except Killed:
            crashes += 1
    assert crashes >= 2
    assert learned(provider, found.model) == expected("crash", STEPS)
    again = sum(provider.paid.values()) - STEPS
    assert 0 < again <= crashes * save_every
    assert counted(tmp_path) == found.tokens == 7 * (STEPS + again) >= provider.billed()
    assert [step for step, _ in found.losses] == list(range(STEPS))


@pytest.mark.parametrize("ends", ["dies", "hangs"])
def test_a_session_that_is_lost(tmp_path: Path, ends: str) -> None:
    """A new one goes on from the last checkpoint, listed or not; what came after is paid again."""
    with tuning(TinkerProvider, lag=60.0, **{ends: (3, 6)}) as provider:
        found = train(provider, tmp_path, "lost", save_every=2, patience=2 / 3600)
        assert sum(provider.met.values()) == 2
        assert learned(provider, found.model) == expected("lost", STEPS)
        again = sum(provider.paid.values()) - STEPS
        assert again == 2 and found.tokens == 7 * (STEPS + again)


def test_a_session_that_is_always_lost_is_told(tmp_path: Path) -> None:
    with tuning(TinkerProvider, dies=tuple(range(1, 100))) as provider:
        with pytest.raises(AssayError, match="did not answer") as caught:
            train(provider, tmp_path, "lost", save_every=3)
        assert caught.value.hint == "the same command goes on after the last checkpoint"
        assert counted(tmp_path) >= provider.billed()
        assert len(provider.sessions) == 4


def test_the_cap_is_never_passed(tmp_path: Path) -> None:
    with tuning(TinkerProvider, dies=(4,)) as provider:
        with pytest.raises(AssayError, match="no room for this job"):
            train(provider, tmp_path, "cap", budget=f"{7 * STEPS - 1} tokens")
        assert provider.tokens == 0
        # The whole run fits; what the lost session took does not fit beside it.
        with pytest.raises(AssayError, match="no room for this job"):
            train(provider, tmp_path, "cap", budget=f"{7 * STEPS} tokens", save_every=9)
        # Room that was kept for the rest is given back.
        assert provider.billed() <= counted(tmp_path) == 7 * 4
        found = train(provider, tmp_path, "cap", budget=f"{7 * (STEPS + 4)} tokens", save_every=9)
        assert learned(provider, found.model) == expected("cap", STEPS) and found.tokens == 7 * (STEPS + 4)


def test_answers_and_log_probabilities_are_kept(tmp_path: Path) -> None:
    questions = [Asked((7, number, 9), 4, stops=(0,)) for number in range(12)]
    scores = [Asked((7, number, 9), scored=2) for number in range(12)]
    with tuning(TinkerProvider, faults=EVERY, seed=2) as provider:
        model = train(provider, tmp_path, "asked").model
        with opened(provider, tmp_path) as tinker:
            for path, steps in ((model, STEPS), (None, 0)):
                replies = tinker.ask(path, questions, lambda a, b, c: None)
                assert [json.loads(one.text) for one in replies] == [[steps, 0]] * 12
                assert {one.ended for one in replies} == {"stop"}
                replies = tinker.ask(path, scores, lambda a, b, c: None)
                assert [json.loads(one.text) for one in replies] == [
                    pytest.approx([-1 / (1 + steps)] * 2)
                ] * 12
            assert tinker.spent.tokens == 2 * 12 * (3 + 2 + 3 + 1)
        before = provider.asked["asample"]
        with opened(provider, tmp_path) as tinker:
            tinker.ask(model, questions, lambda a, b, c: None)
            assert tinker.spent.tokens == 0 and provider.asked["asample"] == before
        assert set(provider.sampled.values()) == {1} and len(provider.sampled) == 48
        assert counted(tmp_path) >= provider.billed()
        tight = opened(provider, tmp_path, budget=f"{counted(tmp_path) + 6} tokens")
        with tight as tinker, pytest.raises(AssayError, match="no room"):
            tinker.ask(model, [Asked((1, 2, 3), 4)], lambda a, b, c: None)


def test_what_it_says_of_what_it_cannot_do(
    provider: TinkerProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TuneConfig(base_url=provider.url.removesuffix("/v1"))
    nothing: dict[str, Any] = {"journal": tmp_path / "x", "advance": lambda a, b, c: None}
    unknown = Tinker("tinker/no such", config, calls=tmp_path / "calls", run="r")
    with unknown as tinker, pytest.raises(AssayError, match="no such base model"):
        tinker.train(key("a"), course("a"), **nothing)
    with pytest.raises(AssayError, match="takes no such setting"):
        Tinker(BASE, replace(config, learning_rate=1.0), calls=tmp_path, run="r")
    monkeypatch.setattr("assay.llm._tinker.find_spec", lambda name: None)
    with pytest.raises(AssayError, match="SDK is not installed") as caught:
        Tinker(BASE, config, calls=tmp_path, run="r")
    assert caught.value.hint == "pip install tinker"
    monkeypatch.delenv("TINKER_API_KEY", raising=False)
    with pytest.raises(AssayError, match="not in the environment") as caught:
        Tinker(BASE, TuneConfig(), calls=tmp_path, run="r")
    assert caught.value.expected == "TINKER_API_KEY in the environment"


def test_prices() -> None:
    price = training_price(BASE, TuneConfig())
    assert is_hosted(BASE) and price is not None and (price.input, price.train) == (0.195, 0.44)
    assert price == find_price(BASE, None, local=False)
