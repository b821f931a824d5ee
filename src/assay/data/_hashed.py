"""Texts as hashed tokens: the form in which all fast kernels see them, alike for every script.

A token is a run of letters and digits, or one character of a script without spaces between words (Han, kana,
Thai and others); ASCII letters are lowered, signs and spaces separate.  Segmentation into Chinese words is
slower and is left to those indicators that speak of words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import SEEK_END
from tempfile import TemporaryFile
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Ids = NDArray[np.uint32]
Offsets = NDArray[np.int64]


_compiled: dict[Callable[..., Any], Callable[..., Any]] = {}


def kernel(function: F) -> F:
    """Return a function compiled by numba, once a process and kept on disk; it runs without the lock."""
    if function not in _compiled:
        import numba

        _compiled[function] = numba.njit(cache=True, nogil=True)(function)
    return cast("F", _compiled[function])


@dataclass(frozen=True)
class HashedTexts:
    """Token hashes of many texts: ``tokens[offsets[i]:offsets[i + 1]]`` are those of text i."""

    tokens: Ids
    offsets: Offsets

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Offsets:
        """Return the number of tokens of each text."""
        return np.diff(self.offsets)

    def chunks(self) -> Iterator[tuple[int, HashedTexts]]:
        """Yield (number of the first text, texts): all of them."""
        yield 0, self

    def take(self, rows: Offsets) -> HashedTexts:
        """Return the texts of the given numbers, in that order."""
        return self.parts(self.offsets[rows], self.lengths[rows])

    def parts(self, starts: Offsets, lengths: Offsets) -> HashedTexts:
        """Return as texts the tokens from each start on, so many."""
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return HashedTexts(self.tokens[places], offsets)


class HashedFile:
    """Token hashes of many texts in a file without a name, so that memory holds their lengths alone."""

    def __init__(self) -> None:
        """Make the file, in the folder for temporary files (``TMPDIR``)."""
        self._file = TemporaryFile()  # noqa: SIM115 - closed with the object
        self._lengths: list[Offsets] = []

    def add(self, texts: HashedTexts) -> None:
        """Write texts behind the others."""
        self._file.seek(0, SEEK_END)
        self._file.write(np.ascontiguousarray(texts.tokens).data)
        self._lengths.append(texts.lengths.astype(np.int32))
        vars(self).pop("lengths", None)

    @cached_property
    def lengths(self) -> Offsets:
        """Return the number of tokens of each text."""
        return np.concatenate([*self._lengths, np.zeros(0, np.int32)]).astype(np.int64)

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.lengths)

    def chunks(self) -> Iterator[tuple[int, HashedTexts]]:
        """Yield (number of the first text, texts), some at a time."""
        place = 0
        for first in range(0, len(self), _FILE_ROWS):
            offsets = np.concatenate([[0], np.cumsum(self.lengths[first : first + _FILE_ROWS])])
            self._file.seek(place)
            tokens = np.frombuffer(self._file.read(4 * int(offsets[-1])), np.uint32)
            place += 4 * int(offsets[-1])
            yield first, HashedTexts(tokens, offsets.astype(np.int64))


def joined(parts: Sequence[HashedTexts]) -> HashedTexts:
    """Return the texts of all parts."""
    lengths = np.concatenate([part.lengths for part in parts])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return HashedTexts(np.concatenate([part.tokens for part in parts]), offsets)


_FILE_ROWS = 50_000


def hashed(texts: Iterable[str]) -> HashedTexts:
    """Return the token hashes (32 bits, equal for equal tokens) of texts of any script and length."""
    parts: list[Ids] = []
    counts = [0]
    chunk: list[bytes] = []
    size = 0
    for text in texts:
        chunk.append(text.encode("utf-8", "surrogatepass"))
        size += len(chunk[-1])
        if size > _CHUNK:
            _hash_chunk(chunk, parts, counts)
            chunk, size = [], 0
    if chunk:
        _hash_chunk(chunk, parts, counts)
    tokens = np.concatenate(parts) if parts else np.empty(0, np.uint32)
    return HashedTexts(tokens, np.cumsum(np.array(counts, np.int64)))


_CHUNK = 1 << 26


def _hash_chunk(chunk: list[bytes], parts: list[Ids], counts: list[int]) -> None:
    edges = np.zeros(len(chunk) + 1, np.int64)
    np.cumsum([len(text) for text in chunk], out=edges[1:])
    buffer = np.frombuffer(b"".join(chunk), np.uint8)
    tokens = np.empty(len(buffer), np.uint32)
    lengths = np.empty(len(chunk), np.int64)
    used = kernel(_tokenize_bytes)(buffer, edges, tokens, lengths)
    parts.append(tokens[:used].copy())
    counts.extend(lengths.tolist())


def _tokenize_bytes(buffer: Any, edges: Any, tokens: Any, lengths: Any) -> int:
    """Write the FNV-1a hash of every token; return how many there are."""
    used = 0
    for t in range(len(edges) - 1):
        first = used
        state = np.uint32(2166136261)
        inside = False
        i, end = edges[t], edges[t + 1]
        while i < end:
            byte = buffer[i]
            if byte < 128:
                i += 1
                if 65 <= byte <= 90:
                    byte += 32
                if 97 <= byte <= 122 or 48 <= byte <= 57:
                    state = np.uint32((state ^ np.uint32(byte)) * np.uint32(16777619))
                    inside = True
                elif inside:
                    tokens[used] = state
                    used += 1
                    state = np.uint32(2166136261)
                    inside = False
                continue
            width = 2 if byte < 224 else (3 if byte < 240 else 4)
            width = min(width, end - i)
            code: Any = np.uint32(byte & (31 if width == 2 else (15 if width == 3 else 7)))
            for k in range(1, width):
                code = np.uint32((code << np.uint32(6)) | np.uint32(buffer[i + k] & 63))
            i += width
            # Capitals of Latin-1, Greek and Cyrillic.
            if 0xC0 <= code <= 0xDE or 0x391 <= code <= 0x3A9 or 0x410 <= code <= 0x42F:
                code += np.uint32(32)
            # Letters joined into words: Latin, Greek, Cyrillic, Hebrew, Arabic, Indic scripts, Hangul.
            letter = 0xAA <= code < 0x0E00 or 0x0E80 <= code < 0x2000 or 0xAC00 <= code < 0xD800
            letter = (
                letter
                and code != 0xD7
                and code != 0xF7
                and not 0xAB <= code <= 0xB4
                and not 0xB6 <= code <= 0xB9
            )
            # Letters that stand alone: Thai, kana, Han and the rest of the supplementary planes.
            alone = (
                0x0E00 <= code < 0x0E80
                or 0x3040 <= code < 0xA000
                or 0xF900 <= code < 0xFB00
                or code >= 0x10000
            )
            # Full-width ASCII letters and digits read as their plain forms.
            if 0xFF10 <= code <= 0xFF19 or 0xFF21 <= code <= 0xFF3A or 0xFF41 <= code <= 0xFF5A:
                plain = code - np.uint32(0xFEE0)
                if 65 <= plain <= 90:
                    plain += np.uint32(32)
                state = np.uint32((state ^ plain) * np.uint32(16777619))
                inside = True
                continue
            if letter:
                state = np.uint32((state ^ (code & np.uint32(255))) * np.uint32(16777619))
                state = np.uint32((state ^ (code >> np.uint32(8))) * np.uint32(16777619))
                inside = True
                continue
            if inside:
                tokens[used] = state
                used += 1
                state = np.uint32(2166136261)
                inside = False
            if alone:
                mixed = np.uint32((code ^ np.uint32(2166136261)) * np.uint32(2654435761))
                tokens[used] = mixed ^ (mixed >> np.uint32(15))
                used += 1
        if inside:
            tokens[used] = state
            used += 1
        lengths[t] = used - first
    return used


def shingle_sets(texts: HashedTexts, shingle: int) -> tuple[Ids, Offsets]:
    """Return sorted distinct shingle hashes of all texts, and where each text's begin [len + 1]."""
    out = np.empty(len(texts.tokens), np.uint32)
    offsets = np.zeros(len(texts) + 1, np.int64)
    used = kernel(_shingle)(texts.tokens, texts.offsets, shingle, out, offsets)
    return out[:used].copy(), offsets


def _shingle(tokens: Any, edges: Any, width: int, out: Any, offsets: Any) -> int:
    used = 0
    for t in range(len(edges) - 1):
        start, stop = edges[t], edges[t + 1]
        first = used
        if stop > start:
            wide = min(width, stop - start)
            for i in range(start, stop - wide + 1):
                state = np.uint32(wide)
                for k in range(wide):
                    state = np.uint32((state ^ tokens[i + k]) * np.uint32(2654435761))
                    state ^= state >> np.uint32(15)
                out[used] = state
                used += 1
            own = np.sort(out[first:used])
            used = first
            for i in range(len(own)):
                if i == 0 or own[i] != own[i - 1]:
                    out[used] = own[i]
                    used += 1
        offsets[t + 1] = used
    return used
