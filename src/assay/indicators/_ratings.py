"""Ratings by a chat model: AlpaGasus' quality, DEITA's quality and complexity, InsTag's tags."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from assay.core import AssayError, Message, Sample, Text, digest, say
from assay.indicators._indicator import Indicator, Undefined, Value
from assay.indicators._tools import Tools, prompt
from assay.llm import Chat, Estimate, Failure, Reply, Request, Sampling

PROMPTS = Path(__file__).parent / "prompts"
ALPAGASUS_CUT = 4.5
"""From which score on AlpaGasus keeps a sample (Chen et al. 2024, 2307.08701, section 3)."""

Read = Callable[[str], "float | None"]
Measured = Callable[[Sequence[Sample]], "list[Value]"]

_SAMPLING = Sampling(temperature=0.0, max_tokens=256)
_SCORE = re.compile(r"(?:score|分数|得分)\s*[:：]\s*\**\s*(-?\d+(?:\.\d+)?)", re.IGNORECASE)
_BARE = re.compile(r"-?\d+(?:\.\d+)?")
_TAGS = re.compile(r"(?:tags|标签)\s*[:：](.*)", re.IGNORECASE)
_SEPARATOR = re.compile(r"[;；\n]")
_MOST_TAGS = 50
_NO_ANSWER = Undefined("no answer")


def _score(low: float, high: float) -> Read:
    """Return what reads a score within bounds from a reply; None where it says none, or several."""

    def read(text: str) -> float | None:
        plain = unicodedata.normalize("NFKC", text).strip()
        found = {float(number) for number in _SCORE.findall(plain)}
        if not found and _BARE.fullmatch(plain):
            found = {float(plain)}
        (value,) = found if len(found) == 1 else (None,)
        return value if value is not None and low <= value <= high else None

    return read


def _tags(text: str) -> float | None:
    """Return how many different tags a reply names; None where it names none."""
    found = _TAGS.search(unicodedata.normalize("NFKC", text))
    named = {tag.strip(" .。<>[]").casefold() for tag in _SEPARATOR.split(found[1])} if found else set()
    named.discard("")
    return float(len(named)) if 0 < len(named) <= _MOST_TAGS else None


_READERS: dict[str, Read] = {
    "alpagasus": _score(0, 5),
    "deita_quality": _score(1, 6),
    "deita_complexity": _score(1, 6),
    "instag": _tags,
}
_OF_ANSWERS = ("alpagasus", "deita_quality")


@cache
def _template(name: str, language: str) -> str:
    return (PROMPTS / language / f"{name}.txt").read_text(encoding="utf-8").rstrip()


def prompts_digest(names: Iterable[str]) -> str:
    """Return the digest of the templates of some ratings, in both languages."""
    return digest([_template(name, language) for name in sorted(names) for language in ("en", "zh")])


def rating_request(name: str, sample: Sample) -> Request:
    """Return the question for a rating, in Chinese for Chinese samples, else in English."""
    template = _template(name, "zh" if sample.language == "zh" else "en")
    parts = {"prompt": prompt(sample), "answer": sample.answer or ""}
    text = re.sub(r"\{(prompt|answer)\}", lambda found: parts[found[1]], template)
    return Request((Message("user", text),), _SAMPLING)


def _made(name: str) -> Callable[[Tools, Iterable[Sample]], tuple[Measured, str]]:
    def make(tools: Tools, _: Iterable[Sample]) -> tuple[Measured, str]:
        chat = tools.rater
        return lambda samples: _rated(chat, name, samples), ""

    return make


def _rated(chat: Chat, name: str, samples: Sequence[Sample]) -> list[Value]:
    """Ask for what is not stored; what a budget or the server stops is an error, all replies are kept."""
    read = _READERS[name]
    asked = [i for i, s in enumerate(samples) if s.answer or name not in _OF_ANSWERS]
    found: list[Value] = [_NO_ANSWER] * len(samples)
    stopped: list[Failure] = []
    requests = [rating_request(name, samples[i]) for i in asked]

    def wrong(reply: Reply) -> str | None:
        return "no rating that can be read" if read(reply.text) is None else None

    for number, outcome in chat.ask(requests, usable=wrong):
        if isinstance(outcome, Failure):
            stopped += [outcome] if outcome.kind in ("budget", "exhausted") else []
            found[asked[number]] = Undefined(f"no rating: {outcome.kind}")
        else:
            value = read(outcome.text)
            found[asked[number]] = Undefined("no rating: malformed") if value is None else value
    if stopped:
        budget = stopped[0].kind == "budget"
        raise AssayError(
            f"{len(stopped):,} of {len(requests):,} samples got no rating: {stopped[0].problem}",
            place=f"indicator {name}",
            expected="a larger --rater-budget" if budget else "a server that answers",
            hint="replies are kept; run the same command to continue",
        )  # fmt: skip
    return found


def rating_estimate(tools: Tools, names: Iterable[str], samples: Iterable[Sample]) -> Estimate:
    """Return what asking for ratings of samples takes at most; what is stored is not asked for."""
    asked = sorted({question for name in names for question in RATED_BY.get(name, ())})
    requests = [
        rating_request(question, sample)
        for sample in samples
        for question in asked
        if sample.answer or question not in _OF_ANSWERS
    ]
    return tools.rater.estimate(requests)


def _deita(tools: Tools, _: Iterable[Sample]) -> tuple[Measured, str]:
    """Quality times complexity, DEITA's evol score."""
    chat = tools.rater

    def measure(samples: Sequence[Sample]) -> list[Value]:
        columns = (_rated(chat, name, samples) for name in ("deita_quality", "deita_complexity"))
        return [
            quality if isinstance(quality, Undefined) else _times(quality, complexity)
            for quality, complexity in zip(*columns, strict=True)
        ]

    return measure, ""


def _times(quality: float, complexity: Value) -> Value:
    return complexity if isinstance(complexity, Undefined) else quality * complexity


RATED_BY: dict[str, tuple[str, ...]] = {**{name: (name,) for name in _READERS}}
RATED_BY["deita"] = ("deita_quality", "deita_complexity")
"""The questions behind each rating."""

_DEITA = "DEITA, Liu et al. 2024 (2312.15685), section 3: asked of a chat model, not of a trained scorer"
RATING_INDICATORS: tuple[Indicator, ...] = (
    Indicator(
        "alpagasus", 1, "score 0 to 5", 1, ("rater",), "AlpaGasus, Chen et al. 2024 (2307.08701)",
        make=_made("alpagasus"),
    ),
    Indicator("deita_quality", 1, "score 1 to 6", 1, ("rater",), _DEITA, make=_made("deita_quality")),
    Indicator("deita_complexity", 1, "score 1 to 6", 1, ("rater",), _DEITA, make=_made("deita_complexity")),
    Indicator("deita", 1, "score 1 to 36", 1, ("rater",), f"{_DEITA}; quality times complexity", make=_deita),
    Indicator(
        "instag", 1, "tags", 1, ("rater",), "InsTag, Lu et al. 2024 (2308.07074)", make=_made("instag")
    ),
)  # fmt: skip
"""Indicators that ask a chat model."""


def spent_notes(chat: Chat) -> tuple[Text, ...]:
    """Return what the ratings have taken so far."""
    spent = chat.spent
    return (
        say(
            "note.ratings", model=chat.identity, calls=spent.calls, cached=spent.cached,
            tokens=spent.tokens_in + spent.tokens_out, money=spent.money, currency=chat.budget.currency,
        ),
    )  # fmt: skip
