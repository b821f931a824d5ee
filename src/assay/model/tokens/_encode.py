"""Tokens and loss mask: what the model reads, and which tokens it is trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from assay.core import AssayError, Message, Sample
from assay.model.tokens._templates import end_mark, render, starts_as_tokenizer

_BLOCK = 1024

Given = Literal["prompt", "header", "nothing"]
"""What stands before an answer: its prompt; only what opens the turn of an answer; only the start mark."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids [n] of a whole sample and, for each, whether the loss counts it."""

    ids: tuple[int, ...]
    learned: tuple[bool, ...]
    cut: bool = False


def encode(tokenizer: Any, samples: Sequence[Sample], max_tokens: int) -> list[Encoded]:
    """Tokenize samples whole and mark the tokens of assistant turns with their end marks.

    Turns that are not to be learned (``weight: 0``) are read and not marked.

    The ids up to an answer are those that :func:`encode_prompts` gives for its prompt.  Longer samples are
    cut at the right and say so (``cut``); a sample whose prompt alone is longer than ``max_tokens`` has no
    learned token.
    """
    if not samples:
        return []
    mark = end_mark(tokenizer)
    texts = [render(tokenizer, s.messages) for s in samples]
    spans = [_answer_spans(tokenizer, s.messages, text, mark) for s, text in zip(samples, texts, strict=True)]
    encoded = []
    for row, found in zip(
        _tokenize(tokenizer, texts, [[a for a, _ in f] for f in spans]), spans, strict=True
    ):
        learned = np.zeros(len(row.ids), np.bool_)
        starts = np.asarray(row.starts)
        for first, (_, stop) in zip(row.firsts, found, strict=True):
            learned[first:] |= starts[first:] < stop
        kept = tuple(learned[:max_tokens].tolist())
        encoded.append(Encoded(tuple(row.ids[:max_tokens]), kept, len(row.ids) > max_tokens))
    return encoded


def encode_prompts(tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> list[list[int]]:
    """Return the ids after which the model is to write an answer, for each conversation."""
    if not conversations:
        return []
    mark = end_mark(tokenizer)
    texts = [render(tokenizer, messages, generation_prompt=True) for messages in conversations]
    borders = [
        [a for a, _ in _answer_spans(tokenizer, messages, text, mark)]
        for messages, text in zip(conversations, texts, strict=True)
    ]
    return [row.ids for row in _tokenize(tokenizer, texts, borders)]


def _answer_spans(tokenizer: Any, messages: Sequence[Message], text: str, mark: str) -> list[tuple[int, int]]:
    """Return the character spans of ``text`` that hold assistant turns with their end mark.

    A span is empty where the turn is not to be learned.
    """
    spans = []
    for index, message in enumerate(messages):
        if message.role != "assistant":
            continue
        through = render(tokenizer, messages[: index + 1])
        if not text.startswith(through):
            # A template that writes past turns differently: only the last turn can be located.
            if index < len(messages) - 1:
                continue
            through = text
        # A template may open an assistant turn differently from its generation prompt.
        if index:
            start = _common_prefix(render(tokenizer, messages[:index], generation_prompt=True), through)
        else:
            start = max(0, through.find(message.content.strip()))
        ended = through.rfind(mark, start)
        stop = len(through) if ended < 0 else ended + len(mark)
        # The border stays where it is: the ids do not depend on what is learned.
        spans.append((start, stop if message.learned else start))
    return spans


def refusals(tokenizer: Any, samples: Iterable[Sample]) -> Iterator[tuple[int, str]]:
    """Yield (index, reason) of the samples that cannot be written by the tokenizer's chat template.

    Such a row is a rejected row: a caller leaves it out and counts it before :func:`encode` or
    :func:`write_tokens`, which raise for it.
    """
    for index, sample in enumerate(samples):
        try:
            text = render(tokenizer, sample.messages)
            for place, message in enumerate(sample.messages):
                if message.role == "assistant" and place:
                    render(tokenizer, sample.messages[:place], generation_prompt=True)
        except AssayError as error:
            yield index, error.problem
            continue
        if not text:
            yield index, "the chat template writes nothing"


def _common_prefix(a: str, b: str) -> int:
    if b.startswith(a):
        return len(a)
    limit = min(len(a), len(b))
    return next((i for i in range(limit) if a[i] != b[i]), limit)


@dataclass(frozen=True, slots=True)
class _Tokens:
    """Ids, the characters at which they start, and the index of the first token of each answer."""

    ids: list[int]
    starts: list[int]
    firsts: list[int]


def _tokenize(tokenizer: Any, texts: Sequence[str], borders: Sequence[Sequence[int]]) -> list[_Tokens]:
    """Tokenize texts so that no token lies across a border; ``borders`` are character places.

    A model that answers sees the text before a border alone.  Texts are tokenized whole, and cut only at
    borders where that gives other ids for the part before.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise AssayError(
            "the tokenizer gives no character offsets",
            place=getattr(tokenizer, "name_or_path", None),
            expected="a fast tokenizer (tokenizer.json)",
            hint="convert it with transformers' AutoTokenizer(..., use_fast=True).save_pretrained(folder)",
        )
    heads = [text[:border] for text, places in zip(texts, borders, strict=True) for border in places]
    batch = tokenizer([*texts, *heads], add_special_tokens=False, return_offsets_mapping=True)
    whole = list(zip(batch["input_ids"], batch["offset_mapping"], strict=True))
    before = iter(batch["input_ids"][len(texts) :])
    found = []
    for text, places, (ids, offsets) in zip(texts, borders, whole, strict=False):
        firsts = []
        straddled = []
        for border in places:
            head = next(before)
            firsts.append(len(head))
            if ids[: len(head)] != head:
                straddled.append(border)
        if straddled:
            found.append(_cut(tokenizer, text, places, straddled))
        else:
            found.append(_Tokens(ids, [start for start, _ in offsets], firsts))
    return found


def _cut(tokenizer: Any, text: str, borders: Sequence[int], cuts: Sequence[int]) -> _Tokens:
    """Tokenize the parts of a text between ``cuts``, each as :func:`_tokenize` does."""
    ids: list[int] = []
    starts: list[int] = []
    firsts: list[int] = []
    for low, high in pairwise([0, *cuts, len(text)]):
        inside = [border - low for border in borders if low <= border < high]
        part = _tokenize(tokenizer, [text[low:high]], [inside])[0]
        firsts += [len(ids) + first for first in part.firsts]
        starts += [low + start for start in part.starts]
        ids += part.ids
    return _Tokens(ids, starts, firsts)


def encode_answers(
    tokenizer: Any, samples: Sequence[Sample], max_tokens: int, *, given: Given = "prompt"
) -> list[Encoded]:
    """Tokenize the last answer of each sample after what is ``given``; its own tokens are the learned ones.

    No end mark is among them.  Of an answer that ends more than ``max_tokens`` after the start of its
    *prompt* the rest is cut, whatever is given, so that the same part of it is there each time.  Without an
    answer there is no token.
    """
    spoken = [(i, s) for i, s in enumerate(samples) if s.answer]
    mark = end_mark(tokenizer)
    parts = [_parts(tokenizer, s, mark) for _, s in spoken]
    prompts = _joined(tokenizer, [(head, text) for head, _, text in parts])
    found = prompts
    if given != "prompt":
        found = _joined(
            tokenizer, [(opening if given == "header" else "", text) for _, opening, text in parts]
        )
    rows = [Encoded((), ())] * len(samples)
    for (i, _), (_, before), (ids, first) in zip(spoken, prompts, found, strict=True):
        stop = first + max(max_tokens - before, 0)
        kept = tuple(ids[:stop])
        rows[i] = Encoded(kept, (*[False] * first, *[True] * (len(kept) - first)), len(ids) > stop)
    return rows


def _parts(tokenizer: Any, sample: Sample, mark: str) -> tuple[str, str, str]:
    """Return the text before the last answer, what of it opens the answer's turn, and the answer.

    The start mark counts as part of what opens the turn where the template writes one.
    """
    text, asked = render(tokenizer, sample.messages), render(tokenizer, sample.prompt)
    start = _common_prefix(render(tokenizer, sample.prompt, generation_prompt=True), text)
    ended = text.rfind(mark, start)
    head, bos = text[:start], tokenizer.bos_token
    lead = bos if bos and head.startswith(bos) else ""
    opening = lead + head[max(len(lead), _common_prefix(asked, head)) :]
    return head, opening, text[start : None if ended < 0 else ended]


def _joined(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> list[tuple[list[int], int]]:
    """Return the ids of two texts on end and how many of them are the first's; no token is of both.

    A start mark that stands there because the tokenizer puts one before a text is put there as by it: a text
    after it begins as texts begin ("▁Below", not "Below").  In place of an empty first text there is that
    mark, or else the end mark, after which models are trained to begin a new text.
    """
    if not pairs:
        return []
    bos = tokenizer.bos_token if starts_as_tokenizer(tokenizer) else None
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    heads = [a.removeprefix(bos) if bos else a for a, _ in pairs]
    texts = [head + b for head, (_, b) in zip(heads, pairs, strict=True)]
    rows = _tokenize(tokenizer, texts, [[len(head)] for head in heads])
    return [
        ([start, *row.ids], 1 + row.firsts[0]) if head != a or not a else (row.ids, row.firsts[0])
        for (a, _), head, row in zip(pairs, heads, rows, strict=True)
    ]


class TokenTable:
    """Tokenized samples on disk: flat token ids with row offsets, memory-mapped.

    Files: ``ids.npy`` uint32 [tokens], ``learned.npy`` bool [tokens], ``offsets.npy`` int64 [rows + 1].
    """

    def __init__(self, folder: Path) -> None:
        """Map the files of ``folder``."""
        self.folder = folder
        self._ids: npt.NDArray[np.uint32] = np.load(folder / "ids.npy", mmap_mode="r")
        self._learned: npt.NDArray[np.bool_] = np.load(folder / "learned.npy", mmap_mode="r")
        self._offsets: npt.NDArray[np.int64] = np.load(folder / "offsets.npy")
        self.lengths: npt.NDArray[np.int64] = np.diff(self._offsets)
        """Tokens of each row [rows]."""

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def learnable(self) -> npt.NDArray[np.bool_]:
        """Return [rows] whether a row has a token to learn; the first of a row is never predicted."""
        ahead = np.concatenate([[0], np.cumsum(self._learned, dtype=np.int64)])
        starts, stops = self._offsets[:-1], self._offsets[1:]
        found: npt.NDArray[np.bool_] = ahead[stops] > ahead[np.minimum(starts + 1, stops)]
        return found

    def row(self, index: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return ids [n] and loss mask [n] of one row."""
        start, stop = self._offsets[index], self._offsets[index + 1]
        return self._ids[start:stop].astype(np.int64), np.asarray(self._learned[start:stop])


def write_tokens(
    tokenizer: Any, samples: Iterable[Sample], folder: Path, max_tokens: int, *, given: Given | None = None
) -> dict[str, int]:
    """Tokenize a stream of samples into ``folder`` in bounded memory and return counts.

    ``rows``, ``tokens``, ``learned_tokens``, ``cut`` (rows longer than ``max_tokens``) and
    ``unlearnable`` (rows in which no answer token is left).  ``given``: the last answers alone, after that
    (:func:`encode_answers`).
    """
    counts = dict.fromkeys(("rows", "tokens", "learned_tokens", "cut", "unlearnable"), 0)
    offsets = [0]
    with (folder / "ids.bin").open("wb") as ids, (folder / "learned.bin").open("wb") as learned:
        for block in _blocks(samples):
            rows = (
                encode(tokenizer, block, max_tokens)
                if given is None
                else encode_answers(tokenizer, block, max_tokens, given=given)
            )
            for row in rows:
                ids.write(np.asarray(row.ids, np.uint32).tobytes())
                learned.write(np.asarray(row.learned, np.bool_).tobytes())
                offsets.append(offsets[-1] + len(row.ids))
                counts["rows"] += 1
                counts["tokens"] += len(row.ids)
                counts["learned_tokens"] += sum(row.learned)
                counts["cut"] += row.cut
                counts["unlearnable"] += not any(row.learned[1:])
    for name, kind in (("ids", np.uint32), ("learned", np.bool_)):
        raw = folder / f"{name}.bin"
        flat = np.memmap(raw, kind, "r") if offsets[-1] else np.zeros(0, kind)
        np.save(folder / f"{name}.npy", flat)
        raw.unlink()
    np.save(folder / "offsets.npy", np.asarray(offsets, np.int64))
    return counts


def _blocks(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    block: list[Sample] = []
    for sample in samples:
        block.append(sample)
        if len(block) == _BLOCK:
            yield block
            block = []
    if block:
        yield block
