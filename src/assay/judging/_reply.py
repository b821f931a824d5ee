"""A reply as plain text: signs made one, reasoning and quotations taken out, JSON objects set apart."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, TypeAlias

from assay.judging._scale import Unparsed

OBJECT = "\ue003"
"""Stands in a text for an object that was read; see :class:`Parts`."""
QUOTED = "\ue004"
"""Stands in a text for words that the judge quotes."""

Pairs: TypeAlias = "tuple[tuple[str, Any], ...]"

_MOST_TRIES = 50
_LITERAL = 4000
_PRIVATE = re.compile("[\ue000-\ue00f]")
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴-⁹₀-₉]")
_GLUED = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞①-⑳])")
_THINKS = "think(?:ing)?|thoughts?|reasoning|reflection|scratchpad|analysis|inner_monologue|cot"
_TAG = re.compile(
    rf"(?P<open><(?:{_THINKS})>|\[(?:{_THINKS})\]|◁(?:{_THINKS})▷|<\|begin_of_thought\|>)"
    rf"|(?:</(?:{_THINKS})>|\[/(?:{_THINKS})\]|◁/(?:{_THINKS})▷|<\|end_of_thought\|>)",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"(?s)^.*<\|channel\|>final<\|message\|>")


@dataclass(frozen=True, slots=True)
class Parts:
    """A reply as text in which :data:`OBJECT` stands for each of its ``objects``, in order."""

    text: str
    objects: tuple[Pairs, ...]


def plain(text: str) -> str:
    """Return a text with full-width signs and digits as ASCII, without reasoning between think tags."""
    flat = _SUPERSCRIPTS.sub("^", _PRIVATE.sub(" ", text).replace("，", ", "))
    flat = unicodedata.normalize("NFKC", _GLUED.sub(" ", flat)).replace("⁄", "/").replace("\ufe0f", "")
    return _unthought(_CHANNEL.sub("", flat))


def _unthought(text: str) -> str:
    """Return what is said outside of thinking; an end without a beginning ends what stands before it.

    Some chat templates open the tag in the prompt, and a cut reply does not close it.
    """
    kept: list[str] = []
    depth = start = 0
    for tag in _TAG.finditer(text):
        if tag["open"]:
            if depth == 0:
                kept.append(text[start : tag.start()])
            depth += 1
        else:
            kept = kept if depth else []
            depth = max(depth - 1, 0)
        start = tag.end()
    return "\n".join(kept) if depth else "\n".join([*kept, text[start:]])


_OPENING = re.compile(r"\{(?=\s{0,100}[\"'}])")
_FENCE = re.compile(r"```[a-zA-Z]*\s*|```")


def parts(flat: str) -> Parts:
    """Return the objects of a plain text (JSON, or Python's way to write them) and the text around."""
    found: list[Pairs] = []
    rest, start, tries = [], 0, 0
    while (brace := _OPENING.search(flat, start)) is not None and tries < _MOST_TRIES:
        rest.append(flat[start : brace.start()])
        read = _object(flat, brace.start())
        if read is None:
            rest.append("{")
            start, tries = brace.start() + 1, tries + 1
            continue
        pairs, start = read
        found.append(pairs)
        rest.append(OBJECT)
    rest.append(flat[start:])
    return Parts(_FENCE.sub("\n", "".join(rest)), tuple(found))


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=tuple)


def _object(text: str, start: int) -> tuple[Pairs, int] | None:
    """Return the pairs of the object that begins at a place (keys may come twice), and where it ends."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        pass
    end = text.find("}", start, start + _LITERAL) + 1
    if not end:
        return None
    try:
        value = ast.literal_eval(text[start:end])
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    return (tuple(value.items()), end) if isinstance(value, dict) else None


_DROPPED_TAGS = "answer|answer_[ab]|response|question|reference|quote|example|rubric|prompt"
_DROPPED = re.compile(rf"(?is)<({_DROPPED_TAGS})>(?:(?!<\1>).){{0,2000}}?</\1>")
_SCORE_TAG = re.compile(
    r"(?is)<((?:final_|overall_)?(?:score|rating|grade|verdict|winner))>\s{0,20}([^<]{1,40}?)\s{0,20}</\1>"
)
_QUOTES = re.compile(
    r"\"[^\"\n]{0,300}\"|“[^“”\n]{0,300}”|「[^「」\n]{0,300}」|『[^『』\n]{0,300}』|«[^«»\n]{0,300}»|`[^`\n]{1,300}`"
    r"|(?<![\w'])'[^'\n]{2,300}'(?![\w'])"
)
_SHORT = re.compile(
    r"\s{0,4}(?:\d[\d./%\s]{0,10}分?|[A-Za-z]{1,8}|[零〇一二两三四五六七八九十点分]{1,6})?\s{0,4}"
)
_WHOLE_QUOTE = re.compile(r"\s*[\"“「『`']([^\"“”「」『』`']{1,80})[\"”」』`']\s*")
_MARKUP = re.compile(r"\*+|(?<!\w)_+|_+(?!\w)|~~|(?m:^[ \t]*#{1,6}(?!\d)[ \t]*)")
_POINTS = re.compile(r"(?i)\b([ei])\.\s?([ge])\.")
"""The points of *e.g.* end no sentence."""


def unquoted(text: str) -> str:
    """Return a text without markup, in which quotations are one sign each.

    Kept are the words of a reply that is one quotation, and a bare number, letter or word in quotes.
    """
    text = _DROPPED.sub(QUOTED, text)
    text = _SCORE_TAG.sub(lambda tag: f"\n{tag[1].replace('_', ' ')}: {tag[2]}\n", text)
    text = re.sub(r"(?m)^[ \t]*>(?!\s*\d).*$", "", text)
    text = _MARKUP.sub("", _POINTS.sub(r"\1.\2", text))
    if (whole := _WHOLE_QUOTE.fullmatch(text)) is not None:
        return whole[1]
    return _QUOTES.sub(_quote, text)


def _quote(found: re.Match[str]) -> str:
    inside = found[0][1:-1]
    if _SHORT.fullmatch(inside):
        return f" {inside} "
    # A quotation may hold the end of its sentence.
    return f" {QUOTED}. " if inside[-1:] in ".!?。" else f" {QUOTED} "


def value_of(pairs: Pairs, keys: frozenset[str]) -> list[tuple[str, Any]]:
    """Return the entries of an object under these keys, spelled alike (``Final Score``: ``final_score``)."""
    named = [(re.sub(r"[\s\-]+", "_", str(key).strip().lower()), value) for key, value in pairs]
    return [(key, value) for key, value in named if key in keys]


def is_object(value: Any) -> bool:
    """Tell whether a value read by :func:`parts` is an object of its own."""
    if isinstance(value, dict):
        return True
    return isinstance(value, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value)


def pairs_of(value: Any) -> Pairs:
    """Return the pairs of an inner object."""
    return tuple(value.items()) if isinstance(value, dict) else tuple(value)


def not_said(what: str) -> Unparsed:
    """Return what is reported where a reply holds nothing of the kind."""
    return Unparsed(f"no {what} in the reply")
