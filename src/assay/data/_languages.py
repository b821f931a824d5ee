"""Languages and words: by script first, because short Chinese defeats statistical identifiers."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import count as upwards
from typing import Any

import numpy as np

from assay.data._hashed import kernel

_HAN_RANGE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_SINGLE_RANGE = "\u3040-\u30ff\u0e00-\u0e7f"
_SCRIPTS = {
    "zh": ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3134F)),
    "ja": ((0x3040, 0x30FF),),
    "ko": ((0xAC00, 0xD7AF), (0x1100, 0x11FF)),
    "ru": ((0x0400, 0x04FF),),
    "ar": ((0x0600, 0x06FF),),
    "hi": ((0x0900, 0x097F),),
    "th": ((0x0E00, 0x0E7F),),
    "el": ((0x0370, 0x03FF),),
    "he": ((0x0590, 0x05FF),),
    "latin": ((ord("a"), ord("z")), (0x00DF, 0x024F)),
}
_LAST = 0x31350
_LATIN = re.compile("[a-z\u00df-\u024f]+")
TOLD_BY = 600
"""Characters from the beginning of a text that tell its language."""
_FUNCTION_WORDS = {
    "en": frozenset(
        "the of and to in is a that it for was on are as with be this by at from or an have not what which "
        "you how i your can do does write give me following list name".split()
    ),
    "de": frozenset("der die das und ist nicht ein eine mit auf für von zu den dem wie was ich sie".split()),
    "fr": frozenset("le la les des et est une un dans pour que qui pas sur avec au du ce cette".split()),
    "es": frozenset("el la los las de y es una un en para que por con no se del al como qué".split()),
    "it": frozenset("il lo la gli le di e è un una in per che non con del della come si".split()),
    "pt": frozenset("o a os as de e é um uma em para que não com do da como por se".split()),
}
# The languages that share a word, as one string: its hash is kept, a tuple's is not.
_TAGS = {
    word: " ".join(tag for tag, words in _FUNCTION_WORDS.items() if word in words)
    for word in frozenset().union(*_FUNCTION_WORDS.values())
}
_ASCII_TAGS = {word.encode(): tags for word, tags in _TAGS.items() if word.isascii()}
_ASCII_WORDS = bytes(code if chr(code).islower() and code < 128 else 32 for code in range(256))
_SLOT_BITS = 12
_WORTH_KERNEL = 20_000
"""Texts from which on compiling, or loading what was compiled, has paid for itself."""
_CODES: tuple[str | None, ...] = (None, *(name for name in _SCRIPTS if name != "latin"), *_FUNCTION_WORDS)
_asked = [0]
_LETTER = rf"(?![{_HAN_RANGE}{_SINGLE_RANGE}])[^\W_]"
_RUN = re.compile(rf"[{_HAN_RANGE}]+|[{_SINGLE_RANGE}]|(?:{_LETTER})+(?:['\u2019](?:{_LETTER})+)*")
_ASCII_RUN = re.compile(r"[^\W_]+(?:'[^\W_]+)*", re.ASCII)
_HAN = re.compile(f"[{_HAN_RANGE}]")


@cache
def _scripts() -> Any:
    """Return the place in ``_SCRIPTS``, from 1, of each code point up to ``_LAST``; 0 is none of them."""
    table = np.zeros(_LAST + 1, np.uint8)
    for place, ranges in enumerate(_SCRIPTS.values(), 1):
        for first, last in ranges:
            table[first : last + 1] = place
    return table


@cache
def _lowered() -> Any:
    """Return the small letter of each code point up to ``_LAST``; of İ, which has two for it, the first."""
    return np.array([ord(chr(code).lower()[0]) for code in range(_LAST + 1)], np.int64)


def language_of(text: str) -> str | None:
    """Return the primary language tag of a text, or None where it cannot be told.

    Scripts decide where they can (Han with kana is Japanese); among Latin-script languages the commonest
    function words do.  A text of digits and signs, or a few words with none of them, gives None.
    """
    sample = text[:TOLD_BY].lower()
    if sample.isascii():
        words = sample.encode().translate(_ASCII_WORDS).split()
        return _by_words(len(words), Counter(map(_ASCII_TAGS.get, words)))
    script = _script_of(sample)
    if script is not None:
        return script
    found = _LATIN.findall(sample)
    return _by_words(len(found), Counter(map(_TAGS.get, found)))


def languages_of(texts: Sequence[str]) -> list[str | None]:
    """Return the language tag of each text, as :func:`language_of` does; many at once are faster."""
    _asked.append(len(texts))
    if sum(_asked) < _WORTH_KERNEL:
        return [language_of(text) for text in texts]
    _asked[:] = [_WORTH_KERNEL]
    heads = [text[:TOLD_BY] for text in texts]
    whole = "".join(heads)
    if "İ" in whole:  # its small letter is two
        heads = [head.lower() for head in heads]
        whole = "".join(heads)
    found = np.zeros(len(heads), np.uint8)
    buffer = np.frombuffer(whole.encode("utf-8", "surrogatepass"), np.uint8)
    lengths = np.array(list(map(len, heads)), np.int64)
    kernel(_tell)(buffer, lengths, _lowered(), _scripts(), _letters(), *_word_table(), found)
    return list(map(_CODES.__getitem__, found.tolist()))


_LONGEST = 10
"""Letters of the longest word that is looked up, six bits each in 64; no function word is longer."""


@cache
def _letters() -> Any:
    """Return a number from 1 to 63 of each code point of a Latin letter: 63 of all that no function word has.

    Capitals of ASCII have the number of their small letter, all other code points 0.
    """
    table = np.zeros(_SCRIPTS["latin"][-1][1] + 1, np.uint8)
    for first, last in _SCRIPTS["latin"]:
        table[first : last + 1] = 63
    for number, letter in enumerate(sorted(set("".join(_TAGS))), 1):
        table[ord(letter)] = number
    table[ord("A") : ord("Z") + 1] = table[ord("a") : ord("z") + 1]
    return table


@cache
def _word_table() -> tuple[Any, Any, Any, Any]:
    """Return what finds a function word without search.

    Its place in the two last tables by the top bits of its number times a factor, for which no two words
    share them, the factor, the words' numbers, and one for each of their languages in ten bits of its own.
    """
    letters = _letters()
    numbers = [sum(int(letters[ord(c)]) << (6 * i) for i, c in enumerate(reversed(word))) for word in _TAGS]
    tags = [sum(1 << (10 * list(_FUNCTION_WORDS).index(tag)) for tag in t.split()) for t in _TAGS.values()]
    factor = next(
        f for f in upwards(0x9E3779B97F4A7C15, 2) if len({_slot(n, f) for n in numbers}) == len(numbers)
    )
    places = np.zeros(1 << _SLOT_BITS, np.uint8)
    places[[_slot(n, factor) for n in numbers]] = range(1, len(numbers) + 1)
    return places, np.uint64(factor), np.array([0, *numbers], np.uint64), np.array([0, *tags], np.int64)


def _slot(number: int, factor: int) -> int:
    return (number * factor & (1 << 64) - 1) >> (64 - _SLOT_BITS)


def _tell(
    buffer: Any, lengths: Any, lowered: Any, scripts: Any, letters: Any,
    places: Any, factor: Any, numbers: Any, tags: Any, found: Any,
) -> None:  # fmt: skip
    """Write the code of each text's language: scripts and words of its small letters in one scan."""
    counts = np.zeros(11, np.int64)
    last, shift, i = len(scripts) - 1, np.uint64(64 - _SLOT_BITS), 0
    for t in range(len(lengths)):
        counts[:] = 0
        words = long = hits = 0
        word = np.uint64(0)
        for k in range(lengths[t] + 1):
            letter = np.uint64(0)
            if k < lengths[t]:
                code: Any = np.int64(buffer[i])
                i += 1
                if code < 128:
                    letter = np.uint64(letters[code])
                else:
                    width = 1 if code < 224 else (2 if code < 240 else 3)
                    code &= 31 if width == 1 else (15 if width == 2 else 7)
                    for _ in range(width):
                        code = (code << 6) | (np.int64(buffer[i]) & 63)
                        i += 1
                    code = lowered[code] if code < last else last
                    if code < len(letters):
                        letter = np.uint64(letters[code])
                    if not letter:
                        counts[scripts[code]] += 1
            if letter:
                word = (word << np.uint64(6)) | letter
                long += 1
            else:
                place = places[(word * factor) >> shift]
                hits += tags[place] * (numbers[place] == word) * (long <= _LONGEST)
                words += long > 0
                counts[10] += long
                word, long = np.uint64(0), 0
        if counts[2] and counts[2] * 10 >= counts[1]:
            counts[2] += counts[1]
            counts[1] = 0
        best = 1 + np.argmax(counts[1:10])
        weight = 2 if best <= 3 else 1
        if counts[best] * weight >= max(counts[10], 1):
            found[t] = best
            continue
        most = 0
        for k in range(1, 6):
            if (hits >> 10 * k) & 1023 > (hits >> 10 * most) & 1023:
                most = k
        if (hits >> 10 * most) & 1023 >= max(1, words // 20):
            found[t] = 10 + most


def _by_words(words: int, counts: Counter[str | None]) -> str | None:
    """Return the language that has the commonest function words; ``counts`` is by the tags of a word."""
    hits = dict.fromkeys(_FUNCTION_WORDS, 0)
    for tags, count in counts.items():
        if tags is not None:
            for tag in tags.split():
                hits[tag] += count
    winner = max(hits, key=hits.__getitem__)
    return winner if hits[winner] >= max(1, words // 20) else None


def _script_of(sample: str) -> str | None:
    """Return the language that the script decides, or None where Latin letters outweigh it."""
    codes = np.frombuffer(sample.encode("utf-32-le", "surrogatepass"), "<u4")
    found = np.bincount(_scripts()[np.minimum(codes, _LAST)], minlength=len(_SCRIPTS) + 1).tolist()
    counts = dict(zip(_SCRIPTS, found[1:], strict=True))
    letters = counts.pop("latin")
    if counts["ja"] and counts["ja"] * 10 >= counts["zh"]:
        counts["ja"] += counts["zh"]
        counts["zh"] = 0
    best = max(counts, key=counts.__getitem__)
    # A Han character says about as much as two Latin letters.
    weight = 2 if best in ("zh", "ja", "ko") else 1
    return best if counts[best] * weight >= max(letters, 1) else None


@cache
def _jieba() -> Any:
    import logging

    import jieba

    jieba.setLogLevel(logging.ERROR)
    jieba.initialize()
    return jieba


def words(text: str) -> list[str]:
    """Return the words of a text in order, without punctuation.

    Han runs are segmented by jieba; kana and Thai give single characters; other scripts split at what is
    neither letter nor digit.  Case is kept.
    """
    if text.isascii():
        return _ASCII_RUN.findall(text)
    found: list[str] = []
    for run in _RUN.findall(text):
        if _HAN.match(run):
            found += _jieba().lcut(run)
        else:
            found.append(run)
    return found


def normalise(text: str) -> str:
    """Return the text in NFKC, casefolded, without white space, punctuation and symbols."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LNM")
