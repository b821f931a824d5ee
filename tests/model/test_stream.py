"""Streamed answers: those of every family, cut at the right places, in a context that is too small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny_models
from assay import model
from assay.core import AssayError, Message, Sample
from assay.model.inference._stream import Said, fit

ASKED = ["What is the capital of France?", "法国的首都是哪里？", "Sort: 3 1 2"]


@pytest.fixture(scope="module")
def pocket() -> model.ChatModel:
    return model.open_chat(model.resolve_base("pocket"))


def ask(text: str) -> list[Message]:
    return [Message("user", text)]


def streamed(chat: model.ChatModel, text: str, decoding: model.Decoding, *stop: str) -> list[model.Piece]:
    pieces = list(chat.stream(chat.prompt(ask(text), decoding.max_new_tokens), decoding, stop))
    assert [p.ended for p in pieces[:-1]] == [None] * (len(pieces) - 1) and pieces[-1].ended
    return pieces


def text(pieces: Sequence[model.Piece]) -> str:
    return "".join(piece.text for piece in pieces)


@pytest.mark.parametrize("family", ["pocket", *tiny_models.FAMILIES])
def test_every_family_streams_its_greedy_answer(family: str, tiny: Callable[..., Path]) -> None:
    folder = model.resolve_base("pocket") if family == "pocket" else tiny(family)
    chat = model.open_chat(folder)
    decoding = model.Decoding(24)
    items = [Sample.single(prompt, None) for prompt in ASKED]
    network, tokenizer = model.load_model(folder), model.load_tokenizer(folder)
    for prompt, item in zip(ASKED, items, strict=True):
        (answer,) = model.answer(network, tokenizer, [item], decoding)
        pieces = streamed(chat, prompt, decoding)
        # Half a character at the end is not shown.  A byte that stood for itself alone may turn into U+FFFD
        # with what follows (byte fallback decodes runs as a whole); then it has been shown already.
        expected = answer.text.rstrip("\ufffd").rstrip()
        assert len(text(pieces)) == len(expected)
        assert all(a == b or b == "\ufffd" for a, b in zip(text(pieces), expected, strict=True))
        assert text(pieces) == expected or "\ufffd" in expected
        assert (pieces[-1].tokens, pieces[-1].ended == "stop") == (answer.tokens, answer.ended)


def test_an_adapter_talks_on_its_base(base: Path, table: model.TokenTable, tmp_path: Path) -> None:
    recipe = model.preset("pocket", adapter="lora", batch_size=8, learning_rate=2e-2, warmup_steps=0)
    segment = model.Segment(recipe, 0, 32, 0, recipe.steps(32))
    model.train_full(
        segment, base=base, state=None, table=table, order=np.arange(len(table)), out=tmp_path, device="cpu"
    )
    folder = tmp_path / "model"
    network, tokenizer = model.load_model(folder, base=base), model.load_tokenizer(folder)
    (expected,) = model.answer(network, tokenizer, [Sample.single(ASKED[0], None)], model.Decoding(12))
    found = text(streamed(model.open_chat(folder, base=base), ASKED[0], model.Decoding(12)))
    assert found == expected.text.rstrip("\ufffd").rstrip()
    assert found != text(streamed(model.open_chat(base), ASKED[0], model.Decoding(12)))


def test_a_seed_fixes_a_drawn_answer(pocket: model.ChatModel) -> None:
    drawn = {
        seed: [text(streamed(pocket, ASKED[1], model.Decoding(24, 1.0, seed=seed))) for _ in range(2)]
        for seed in range(4)
    }
    assert all(first == second for first, second in drawn.values())
    assert len({first for first, _ in drawn.values()}) > 1
    greedy = text(streamed(pocket, ASKED[1], model.Decoding(24)))
    assert text(streamed(pocket, ASKED[1], model.Decoding(24, 1.0, top_p=1e-6))) == greedy


def test_a_stop_text_ends_the_answer_and_is_never_shown(pocket: model.ChatModel) -> None:
    whole = text(streamed(pocket, ASKED[0], model.Decoding(24)))
    stop = whole[5:9]
    pieces = streamed(pocket, ASKED[0], model.Decoding(24), "never", stop)
    assert text(pieces) == whole[: whole.index(stop)].rstrip() and pieces[-1].ended == "stop"


@pytest.mark.parametrize("family", ["pocket", "llama"])
def test_odds_are_the_model_s_own_whatever_the_temperature(family: str, tiny: Callable[..., Path]) -> None:
    folder = model.resolve_base("pocket") if family == "pocket" else tiny(family)
    chat, network = model.open_chat(folder), model.load_model(folder)
    for asked in ASKED:
        prompt = chat.prompt(ask(asked), 16)
        pieces = list(chat.stream(prompt, model.Decoding(16, 1.5, 0.9, seed=3), top=4))
        odds = [one for piece in pieces for one in piece.odds]
        assert len(odds) == pieces[-1].tokens - (pieces[-1].ended == "stop")
        tokens = drawn_again(chat, prompt, len(odds))
        with torch.no_grad():
            logits = network(torch.tensor([[*prompt.ids, *tokens]])).logits[0, len(prompt.ids) - 1 : -1]
        logs = torch.log_softmax(logits.double(), -1)
        for place, one in enumerate(odds):
            assert one.logprob == pytest.approx(float(logs[place, tokens[place]]), abs=1e-4)
            assert [o.logprob for o in one.top] == pytest.approx(
                logs[place].topk(4).values.tolist(), abs=1e-4
            )
        joined = b"".join(one.bytes or b"" for one in odds).decode("utf-8", "replace")
        assert joined.strip().rstrip("\ufffd").rstrip().startswith(text(pieces).split("\ufffd")[0])


def drawn_again(chat: model.ChatModel, prompt: model.Prompt, n: int) -> list[int]:
    """Return the tokens of an answer."""
    found = chat._network.follow(prompt.ids, model.Decoding(n, 1.5, 0.9, seed=3))
    return [next(found).token for _ in range(n)]


def test_no_odds_of_tokens_that_a_stop_text_took_away(pocket: model.ChatModel) -> None:
    prompt, decoding = pocket.prompt(ask(ASKED[0]), 24), model.Decoding(24)
    whole = text(streamed(pocket, ASKED[0], decoding))
    pieces = list(pocket.stream(prompt, decoding, [whole[5:9]], top=0))
    told = "".join(one.text for piece in pieces for one in piece.odds)
    assert told.strip().startswith(whole[:5].strip()) and len(told.strip()) < len(whole)
    assert not any(one.top for piece in pieces for one in piece.odds)
    assert not any(piece.odds for piece in pocket.stream(prompt, decoding))


def test_closing_a_stream_ends_it(pocket: model.ChatModel) -> None:
    stream = pocket.stream(pocket.prompt(ask("Tell me a story."), 500), model.Decoding(500))
    next(stream)
    stream.close()
    assert list(stream) == []


def said(texts: Sequence[str], *stop: str) -> list[str]:
    shown, found = Said(stop), []
    for index, whole in enumerate(texts):
        new, stopped = shown.take(whole, last=index == len(texts) - 1)
        found.append(new)
        if stopped:
            break
    return found


def test_only_what_no_later_token_changes_is_shown() -> None:
    assert said([" ", " 你", " 你\ufffd", " 你\ufffd\ufffd", " 你好", " 你好 \n"]) == [
        "",
        "你",
        "",
        "",
        "好",
        "",
    ]
    assert said(["a", "a b", "a b\ufffd"]) == ["a", " b", ""]
    assert said(["x\ufffdy"]) == ["x\ufffdy"]  # bytes that are no character at all
    assert said(["so", "so\n", "so\nUs", "so\nUse it"], "\nUser") == ["so", "", "", "\nUse it"]
    assert said(["so", "so\nUs", "so\nUser: x"], "\nUser", "x") == ["so", "", ""]
    assert said(["一二", "一二三四"], "二三") == ["一", ""]


def test_the_oldest_turns_go_when_the_context_is_full() -> None:
    def encode(turns: Sequence[Message]) -> list[int]:
        return [0] * sum(len(m.content) for m in turns)

    turns = [Message("system", "s" * 10)]
    for i in range(5):
        turns += [Message("user", str(i) * 10), Message("assistant", "a" * 10)]
    turns.append(Message("user", "last" * 5))
    assert fit(turns, encode, None, 50, drop=True).dropped == 0
    assert fit(turns, encode, 200, 50, drop=True).dropped == 0
    found = fit(turns, encode, 150, 50, drop=True)
    assert found.dropped == 4 and len(found.ids) == 90
    assert fit(turns, encode, 150, 500, drop=True).dropped == 6  # half of the context is for the answer
    assert len(fit(turns, encode, 150, 50, drop=False).ids) == 130
    with pytest.raises(AssayError, match="longer than the model's context"):
        fit(turns, encode, 120, 50, drop=False)
    with pytest.raises(AssayError, match="longer than the model's context"):
        fit(turns, encode, 30, 10, drop=True)


def test_a_full_context_ends_an_answer(pocket: model.ChatModel) -> None:
    long = ask("word " * 600)
    prompt = pocket.prompt(long, 2000)
    *_, last = pocket.stream(prompt, model.Decoding(2000, 1.5))
    assert last.tokens <= 1024 - len(prompt.ids)
    broken = pocket.prompt(ask("half \ud800 a pair"), 5)
    assert broken.ids == pocket.prompt(ask("half ? a pair"), 5).ids
