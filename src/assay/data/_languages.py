"""Languages and words: by script first, because short Chinese defeats statistical identifiers."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache
from typing import Any

_HAN_RANGE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_SINGLE_RANGE = "\u3040-\u30ff\u0e00-\u0e7f"
_SCRIPTS = {
    "zh": re.compile(f"[{_HAN_RANGE}]"),
    "ja": re.compile("[\u3040-\u30ff]"),
    "ko": re.compile("[\uac00-\ud7af\u1100-\u11ff]"),
    "ru": re.compile("[\u0400-\u04ff]"),
    "ar": re.compile("[\u0600-\u06ff]"),
    "hi": re.compile("[\u0900-\u097f]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
    "el": re.compile("[\u0370-\u03ff]"),
    "he": re.compile("[\u0590-\u05ff]"),
}
_LATIN = re.compile("[a-z\u00df-\u024f]+")
_SAMPLE = 600
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
_TAGS = {
    word: tuple(tag for tag, words in _FUNCTION_WORDS.items() if word in words)
    for word in frozenset().union(*_FUNCTION_WORDS.values())
}
_LETTER = rf"(?![{_HAN_RANGE}{_SINGLE_RANGE}])[^\W_]"
_RUN = re.compile(rf"[{_HAN_RANGE}]+|[{_SINGLE_RANGE}]|(?:{_LETTER})+(?:['\u2019](?:{_LETTER})+)*")
_HAN = _SCRIPTS["zh"]


def language_of(text: str) -> str | None:
    """Return the primary language tag of a text, or None where it cannot be told.

    Scripts decide where they can (Han with kana is Japanese); among Latin-script languages the commonest
    function words do.  A text of digits and signs, or a few words with none of them, gives None.
    """
    sample = text[:_SAMPLE].lower()
    latin = _LATIN.findall(sample)
    if not sample.isascii():
        script = _script_of(sample, sum(map(len, latin)))
        if script is not None:
            return script
    hits: dict[str, int] = {}
    for word, count in Counter(latin).items():
        for tag in _TAGS.get(word, ()):
            hits[tag] = hits.get(tag, 0) + count
    winner = max(_FUNCTION_WORDS, key=lambda tag: hits.get(tag, 0))
    return winner if hits.get(winner, 0) >= max(1, len(latin) // 20) else None


def _script_of(sample: str, letters: int) -> str | None:
    """Return the language that the script decides, or None where Latin ``letters`` outweigh it."""
    counts = {tag: len(_SCRIPTS[tag].findall(sample)) for tag in ("zh", "ja")}
    others = len(sample) - len(sample.encode("ascii", "ignore")) - sum(counts.values())
    if counts["zh"] < others:  # else no other script can have more
        counts |= {tag: len(_SCRIPTS[tag].findall(sample)) for tag in _SCRIPTS if tag not in counts}
    if counts["ja"] and counts["ja"] * 10 >= counts["zh"]:
        counts["ja"] += counts["zh"]
        counts["zh"] = 0
    best = max(counts, key=lambda tag: counts[tag])
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
    found: list[str] = []
    for match in _RUN.finditer(text):
        run = match.group()
        if _HAN.match(run):
            found += _jieba().lcut(run)
        else:
            found.append(run)
    return found


def normalise(text: str) -> str:
    """Return the text in NFKC, casefolded, without white space, punctuation and symbols."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LNM")
