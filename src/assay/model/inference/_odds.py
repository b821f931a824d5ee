"""How likely a model holds the tokens of an answer, and how they are spelled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

BROKEN = "\ufffd"
_BEFORE = 3
"""Tokens before one that say how it is spelled: blanks and parts of a character depend on them."""
_BYTE = re.compile("<0x([0-9A-F]{2})>")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A token that a model wrote, and how likely it was, where that is asked for.

    ``logprob`` (nats) is the model's own, before temperature and nucleus; ``top`` are the likeliest tokens in
    its place with theirs, the likeliest first.
    """

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


def drawn(token: int, logits: torch.Tensor, top: int | None) -> Drawn:
    """Return a token drawn by ``logits`` [vocabulary], with the ``top`` likeliest; None asks for no odds."""
    if top is None:
        return Drawn(token)
    logs = torch.log_softmax(logits.double(), -1)
    best = logs.topk(min(top, len(logs)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return Drawn(token, float(logs[token]), tuple(pairs))


@dataclass(frozen=True, slots=True)
class Odds:
    """A token as it is spelled, its bytes (None where it has none of its own), its log-probability."""

    text: str
    bytes: bytes | None
    logprob: float
    top: tuple[Odds, ...] = ()


def odds(tokenizer: Any, before: Sequence[int], found: Drawn) -> Odds:
    """Return the odds of a token after the tokens ``before`` it."""

    def spelled(token: int, logprob: float, top: tuple[Odds, ...] = ()) -> Odds:
        return Odds(*spell(tokenizer, before, token), logprob, top)

    assert found.logprob is not None  # noqa: S101 - they were asked for
    return spelled(found.token, found.logprob, tuple(spelled(*pair) for pair in found.top))


def spell(tokenizer: Any, before: Sequence[int], token: int) -> tuple[str, bytes | None]:
    """Return the text that a token adds to those before it, and its bytes; joined they are the answer's."""
    near = list(before[-_BEFORE:])
    start, whole = tokenizer.decode(near), tokenizer.decode([*near, token])
    text = whole[len(start) :]
    if whole.startswith(start) and BROKEN not in text and not start.endswith(BROKEN):
        return text, text.encode("utf-8", "replace")
    raw = _piece_bytes(tokenizer.convert_ids_to_tokens(token))
    return (tokenizer.decode([token]), None) if raw is None else (raw.decode("utf-8", "replace"), raw)


def _piece_bytes(piece: str | None) -> bytes | None:
    """Return the bytes of a piece that is a part of a character, by byte fallback or byte-level BPE."""
    if piece is None:
        return None
    if (found := _BYTE.fullmatch(piece)) is not None:
        return bytes([int(found[1], 16)])
    table = _table()
    return bytes(table[c] for c in piece) if all(c in table for c in piece) else None


@cache
def _table() -> dict[str, int]:
    """Return the byte of each character of byte-level BPE (Radford et al. 2019)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(256 + place): b for place, b in enumerate(others)}
