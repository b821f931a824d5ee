"""Chat template, tokens and loss mask: what the model reads, and which tokens it is trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.core import AssayError, Message, Sample

# Plain default for tokenizers without a chat template (Alpaca's headings, without its preamble).
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'user' %}{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}"
    "{% else %}{{ '### Response:\\n' + message['content'] + eos_token }}"
    "{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"
)

_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids [n] of a whole sample and, for each, whether the loss counts it."""

    ids: tuple[int, ...]
    learned: tuple[bool, ...]
    cut: bool = False


def render(tokenizer: Any, messages: Sequence[Message], *, generation_prompt: bool = False) -> str:
    """Return the text of a conversation by the tokenizer's chat template or the plain default."""
    turns = [{"role": m.role, "content": m.content} for m in messages]
    template = None if getattr(tokenizer, "chat_template", None) else PLAIN_TEMPLATE
    text: str = tokenizer.apply_chat_template(
        turns, chat_template=template, tokenize=False, add_generation_prompt=generation_prompt
    )
    return text


def answer_spans(tokenizer: Any, messages: Sequence[Message], text: str) -> list[tuple[int, int]]:
    """Return the character spans of ``text`` that hold assistant turns with their end mark."""
    spans = []
    for index, message in enumerate(messages):
        if message.role != "assistant":
            continue
        before = render(tokenizer, messages[:index], generation_prompt=True)
        through = render(tokenizer, messages[: index + 1])
        if not text.startswith(through):
            # A template that writes past turns differently: only the last turn can be located.
            if index < len(messages) - 1:
                continue
            through = text
        # A template may open an assistant turn differently from its generation prompt.
        spans.append((_common_prefix(before, through), len(through)))
    return spans


def _common_prefix(a: str, b: str) -> int:
    if b.startswith(a):
        return len(a)
    limit = min(len(a), len(b))
    return next((i for i in range(limit) if a[i] != b[i]), limit)


def encode(tokenizer: Any, samples: Sequence[Sample], max_tokens: int) -> list[Encoded]:
    """Tokenize samples whole and mark the tokens of assistant turns.

    Longer samples are cut at the right and say so (``cut``); a sample whose prompt alone is longer than
    ``max_tokens`` has no learned token.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise AssayError(
            "the tokenizer gives no character offsets",
            place=getattr(tokenizer, "name_or_path", None),
            expected="a fast tokenizer (tokenizer.json)",
            hint="convert it with transformers' AutoTokenizer(..., use_fast=True).save_pretrained(folder)",
        )
    texts = [render(tokenizer, s.messages) for s in samples]
    batch = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    encoded = []
    for sample, text, ids, offsets in zip(
        samples, texts, batch["input_ids"], batch["offset_mapping"], strict=True
    ):
        spans = answer_spans(tokenizer, sample.messages, text)
        learned = tuple(any(a <= start < b for a, b in spans) for start, _ in offsets[:max_tokens])
        encoded.append(Encoded(tuple(ids[:max_tokens]), learned, len(ids) > max_tokens))
    return encoded


class TokenTable:
    """Tokenized samples on disk: flat token ids with row offsets, memory-mapped.

    Files: ``ids.npy`` uint32 [tokens], ``learned.npy`` bool [tokens], ``offsets.npy`` int64 [rows + 1].
    """

    def __init__(self, folder: Path) -> None:
        """Map the files of ``folder``."""
        self._ids: npt.NDArray[np.uint32] = np.load(folder / "ids.npy", mmap_mode="r")
        self._learned: npt.NDArray[np.bool_] = np.load(folder / "learned.npy", mmap_mode="r")
        self._offsets: npt.NDArray[np.int64] = np.load(folder / "offsets.npy")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row [rows]."""
        return np.diff(self._offsets)

    def row(self, index: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return ids [n] and loss mask [n] of one row."""
        start, stop = self._offsets[index], self._offsets[index + 1]
        return self._ids[start:stop].astype(np.int64), np.asarray(self._learned[start:stop])


def write_tokens(tokenizer: Any, samples: Iterable[Sample], folder: Path, max_tokens: int) -> dict[str, int]:
    """Tokenize a stream of samples into ``folder`` in bounded memory and return counts.

    ``rows``, ``tokens``, ``learned_tokens``, ``cut`` (rows longer than ``max_tokens``) and
    ``unlearnable`` (rows in which no answer token is left).
    """
    counts = dict.fromkeys(("rows", "tokens", "learned_tokens", "cut", "unlearnable"), 0)
    offsets = [0]
    with (folder / "ids.bin").open("wb") as ids, (folder / "learned.bin").open("wb") as learned:
        for block in _blocks(samples):
            for row in encode(tokenizer, block, max_tokens):
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
