"""Add tokens to a model's vocabulary: learn them from text, merge, resize, start them warm.

BELLE trained a second SentencePiece vocabulary and appended its pieces to LLaMA's.  Here learning goes on
where the base's own stopped: texts are spelt in the base's tokens, and byte-pair encoding learns merges of
those.  The old merges keep precedence, so a new token is always a sequence of whole old tokens, and what
was not merged is tokenized as before.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.core import AssayError, partial_of
from assay.model.base._load import load_tokenizer

Texts = Callable[[], Iterable[str]]

# SentencePiece's default, also BELLE's: the rest of the new characters stay bytes.
_COVERAGE = 0.9995
_BATCH = 2000
_HELD_OUT = 20
_MOST_HELD_OUT = 5000
_CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]+")
_METASPACE = "▁"
# One character stands for one old token while merges are learned; below it are the separators.
_FIRST_SYMBOL = 0x100
_SURROGATES = 0xD800, 0x800


@dataclass(frozen=True, slots=True)
class Extension:
    """New tokens in the order of their ids: how each is written, and the old ids that spelt it.

    ``merges`` are pairs of written tokens; the first ``characters`` new tokens are single characters, which
    need none.
    """

    tokens: tuple[str, ...]
    spelt: tuple[tuple[int, ...], ...]
    merges: tuple[tuple[str, str], ...]
    characters: int


@dataclass(frozen=True, slots=True)
class ExtensionReport:
    """What an extension did; means are over ``held_out`` lines that nothing was learned from.

    ``per_character`` tokens for a Chinese character, ``per_byte`` tokens for a byte of UTF-8: (before,
    after), None where the lines hold no Chinese.  ``rows`` of the embeddings, ``longest`` new tokens.
    """

    out: str
    base_tokens: int
    new_tokens: int
    new_characters: int
    rows: int
    tied: bool
    held_out: int
    per_character: tuple[float, float] | None
    per_byte: tuple[float, float]
    longest: tuple[str, ...]
    seconds: float


def extend_vocabulary(base: Path, texts: Texts, size: int, out: Path) -> ExtensionReport:
    """Write ``base`` with up to ``size`` new tokens learned from ``texts`` to the folder ``out``.

    ``texts`` is called for each reading.  Every 20th line, up to 5,000, is held out to measure by.  Raises
    :class:`AssayError` for tokenizers that are not byte-pair encodings over bytes, for too little text, and
    where ``out`` exists.
    """
    began = time.monotonic()
    if size < 1:
        raise AssayError("not a size", place="size", value=size, expected="1 or more new tokens")
    if out.exists():
        raise AssayError(
            "the folder exists", place=str(out), hint="choose another folder, or delete this one"
        )
    tokenizer = load_tokenizer(base)
    state = _state(tokenizer)
    held = _held_out(texts)
    found = learn_tokens(state, lambda: _lines(texts(), held_out=False), size)
    partial = partial_of(out)
    shutil.rmtree(partial, ignore_errors=True)
    tokenizer.save_pretrained(partial)
    (partial / "tokenizer.json").write_text(
        json.dumps(extended(state, found), ensure_ascii=False, indent=2), encoding="utf-8"
    )
    longer = load_tokenizer(partial)
    before, after = (_counts(t, held) for t in (tokenizer, longer))
    _check(tokenizer, longer, found, held)
    rows, tied = _resize(base, found, partial, first=len(longer) - len(found.tokens))
    partial.replace(out)
    return ExtensionReport(
        out=str(out),
        base_tokens=len(longer) - len(found.tokens),
        new_tokens=len(found.tokens),
        new_characters=found.characters,
        rows=rows,
        tied=tied,
        held_out=len(held),
        per_character=(before[0], after[0]) if before[0] is not None and after[0] is not None else None,
        per_byte=(before[1], after[1]),
        longest=_longest(longer, len(found.tokens)),
        seconds=time.monotonic() - began,
    )


def _state(tokenizer: Any) -> dict[str, Any]:
    """Return the content of ``tokenizer.json``, all added tokens in the vocabulary under their ids."""
    state: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    model = state["model"]
    byte_level = '"ByteLevel"' in json.dumps(state["pre_tokenizer"])
    plain = not (model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"))
    if model["type"] != "BPE" or not plain or not (byte_level or model.get("byte_fallback")):
        raise AssayError(
            "this kind of tokenizer cannot be extended",
            place=getattr(tokenizer, "name_or_path", None),
            value=model["type"],
            expected="byte-level BPE, or BPE with byte fallback (converted from SentencePiece)",
        )
    # Ids of added tokens outside the vocabulary are given at loading, after its end: they would move.
    model["vocab"] |= {token["content"]: token["id"] for token in state["added_tokens"]}
    return state


def _lines(texts: Iterable[str], *, held_out: bool) -> Iterator[str]:
    lines = (line for text in texts for line in text.split("\n") if line.strip())
    return (line for number, line in enumerate(lines) if _is_held_out(number) == held_out)


def _is_held_out(number: int) -> bool:
    return number % _HELD_OUT == _HELD_OUT - 1 and number < _HELD_OUT * _MOST_HELD_OUT


def _held_out(texts: Texts) -> list[str]:
    held = []
    for line in _lines(texts(), held_out=True):
        held.append(line)
        if len(held) == _MOST_HELD_OUT:
            break
    if not held:
        raise AssayError("too little text", place="texts", expected=f"at least {_HELD_OUT} lines")
    return held


def learn_tokens(state: dict[str, Any], texts: Texts, size: int) -> Extension:
    """Learn up to ``size`` tokens on top of a tokenizer (the content of its ``tokenizer.json``).

    With byte fallback the characters that cover 99.95 % of what fell back come first, whole; what is left
    of ``size`` is merges.  Ties of equal counts go to the lower ids.
    """
    vocabulary: dict[str, int] = state["model"]["vocab"]
    fallback = bool(state["model"].get("byte_fallback"))
    characters = _new_characters(vocabulary, texts(), size) if fallback else []
    spelt = {c: tuple(vocabulary[f"<0x{byte:02X}>"] for byte in c.encode()) for c in characters}
    wide = extended(state, Extension(tuple(characters), tuple(spelt.values()), (), len(characters)))
    written = {number: token for token, number in wide["model"]["vocab"].items()}
    merges = []
    for left, right in _learn(wide, texts(), size - len(characters), _joining(wide, written)):
        parts = "".join(written[i] for i in left), "".join(written[i] for i in right)
        token = "".join(parts)
        # An old token that no merge reached; what is built on it falls with it.
        if token in vocabulary or any(p not in vocabulary and p not in spelt for p in parts):
            continue
        merges.append(parts)
        spelt[token] = tuple(i for p in parts for i in spelt.get(p, (vocabulary.get(p, -1),)))
    return Extension(tuple(spelt), tuple(spelt.values()), tuple(merges), len(characters))


def extended(state: dict[str, Any], found: Extension) -> dict[str, Any]:
    """Return the content of ``tokenizer.json`` with the new tokens after all old ids."""
    model = state["model"]
    first = max(model["vocab"].values()) + 1
    vocabulary = model["vocab"] | {token: first + n for n, token in enumerate(found.tokens)}
    as_text = bool(model["merges"]) and isinstance(model["merges"][0], str)
    merges = [" ".join(pair) if as_text else list(pair) for pair in found.merges]
    return state | {"model": model | {"vocab": vocabulary, "merges": model["merges"] + merges}}


def _new_characters(vocabulary: dict[str, int], texts: Iterable[str], size: int) -> list[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    new = {c: n for c, n in counts.items() if c not in vocabulary and not c.isspace() and c.isprintable()}
    enough, covered = _COVERAGE * sum(new.values()), 0
    chosen: list[str] = []
    for character in sorted(new, key=lambda c: (-new[c], c)):
        if covered >= enough or len(chosen) == size:
            break
        chosen.append(character)
        covered += new[character]
    return chosen


def _joining(state: dict[str, Any], written: dict[int, str]) -> npt.NDArray[np.uint8]:
    """Say of each id how new tokens may hold it: 0 not at all, 1 as their beginning only, 2 anywhere.

    Byte-level words are what the split rule says.  With byte fallback there is no such rule: new tokens are
    made of letters, with a space in front of them at most, as the byte-level rules have it.
    """
    joining = np.zeros(max(written) + 1, np.uint8)
    special = {token["id"] for token in state["added_tokens"]}
    fallback = bool(state["model"].get("byte_fallback"))
    for number, token in written.items():
        if number not in special:
            opens = token.startswith(_METASPACE)
            letters = token.removeprefix(_METASPACE).isalpha() or token == _METASPACE
            joining[number] = (2 - opens) * letters if fallback else 2
    return joining


def _learn(
    state: dict[str, Any], texts: Iterable[str], size: int, joining: npt.NDArray[np.uint8]
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield up to ``size`` merges as pairs of sequences of ids, in the order they were learned."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    if size < 1:
        return
    spelling = Tokenizer.from_str(json.dumps(state))
    symbols = _symbols(np.arange(len(joining)))
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Split("\n", "removed")
    settings = trainers.BpeTrainer(
        vocab_size=len(symbols) + size, initial_alphabet=list(symbols), min_frequency=2, show_progress=False
    )
    lines = iter(texts)
    batches = iter(lambda: list(islice(lines, _BATCH)), [])
    words = (_words(spelling, batch, joining) for batch in batches)
    learner.train_from_iterator(words, settings)
    for pair in json.loads(learner.to_str())["model"]["merges"]:
        left, right = (_numbers(part) for part in pair)
        yield left, right


def _words(spelling: Any, texts: Sequence[str], joining: npt.NDArray[np.uint8]) -> str:
    """Return the words of the texts, each old token one symbol, words apart by line ends."""
    encodings = spelling.encode_batch(texts, add_special_tokens=False)
    ids = np.concatenate([np.asarray(e.ids, np.int64) for e in encodings] or [np.zeros(0, np.int64)])
    words = np.concatenate([np.asarray(e.word_ids, np.int64) for e in encodings] or [ids])
    line = np.repeat(np.arange(len(encodings)), [len(e.ids) for e in encodings])
    kinds = joining[ids]
    breaks = (np.diff(words) != 0) | (np.diff(line) != 0) | (kinds[1:] < 2) | (kinds[:-1] == 0)
    return "\n".join(_symbols(part) for part in np.split(ids, np.flatnonzero(breaks) + 1))


def _symbols(ids: npt.NDArray[np.int64]) -> str:
    codes = ids + _FIRST_SYMBOL
    codes[codes >= _SURROGATES[0]] += _SURROGATES[1]
    return codes.astype("<u4").tobytes().decode("utf-32-le")


def _numbers(symbols: str) -> list[int]:
    codes = map(ord, symbols)
    return [c - _FIRST_SYMBOL - (_SURROGATES[1] if c >= _SURROGATES[0] else 0) for c in codes]


def _counts(tokenizer: Any, lines: Sequence[str]) -> tuple[float | None, float]:
    """Return tokens for a Chinese character and tokens for a byte."""
    chinese = [run for line in lines if (run := "".join(_CHINESE.findall(line)))]
    characters = sum(map(len, chinese))
    return (
        _n_tokens(tokenizer, chinese) / characters if characters else None,
        _n_tokens(tokenizer, lines) / sum(len(line.encode("utf-8", "replace")) for line in lines),
    )


def _n_tokens(tokenizer: Any, texts: Sequence[str]) -> int:
    return sum(map(len, tokenizer(list(texts), add_special_tokens=False)["input_ids"]))


def _check(tokenizer: Any, longer: Any, found: Extension, lines: Sequence[str]) -> None:
    """Refuse an extension under which a new token is not the old tokens that it is made of."""
    first = len(longer) - len(found.tokens)
    old, new = (t(list(lines), add_special_tokens=False)["input_ids"] for t in (tokenizer, longer))
    for line, before, after in zip(lines, old, new, strict=True):
        spelt = [part for i in after for part in (found.spelt[i - first] if i >= first else (i,))]
        if spelt != before:
            raise AssayError(
                "the extended tokenizer splits a text differently",
                place=getattr(tokenizer, "name_or_path", None),
                value=line[:60],
                expected="new tokens that join old ones",
                hint="this tokenizer does not keep to its own tokenizer.json; please report it",
            )


def _resize(base: Path, found: Extension, folder: Path, *, first: int) -> tuple[int, bool]:
    """Write the model with a row for each new token, the mean of the rows that spelt it; say (rows, tied)."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    rows = model.get_input_embeddings().weight.shape[0]
    if first + len(found.tokens) > rows:
        rows = first + len(found.tokens)
        model.resize_token_embeddings(rows, mean_resizing=False)
    inputs, head = model.get_input_embeddings().weight, model.get_output_embeddings()
    tied = head.weight is inputs
    tables = [inputs] if tied else [inputs, head.weight]
    if getattr(head, "bias", None) is not None:
        tables.append(head.bias)
    with torch.no_grad():
        for table in tables:
            for number, ids in enumerate(found.spelt, first):
                table[number] = table[list(ids)].float().mean(dim=0).to(table.dtype)
    model.save_pretrained(folder)
    return rows, tied


def _longest(tokenizer: Any, n_new: int) -> tuple[str, ...]:
    new = range(len(tokenizer) - n_new, len(tokenizer))
    texts = {text for i in new if "\ufffd" not in (text := tokenizer.decode([i]).strip())}
    return tuple(sorted(texts, key=lambda t: (-len(t), t))[:10])
