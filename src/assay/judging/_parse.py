"""Replies of judges to numbers: every known form is read, nothing is guessed.

A reply is read as a number only if all that it says of the score agrees and lies on the scale.  Anything else
is :class:`Unparsed` with the reason, and is never a number.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

_TINY = 1e-9
_LARGEST = 1e12
_LINE = 200

Better: TypeAlias = Literal["A", "B", "tie"]


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A reply that gives no usable verdict, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The numbers that a judge may give: ``steps`` if there are any, else all from ``low`` to ``high``."""

    low: float = 0.0
    high: float = 1.0
    steps: tuple[float, ...] = ()

    def holds(self, value: float) -> bool:
        """Tell whether a number is on the scale."""
        if self.steps:
            return any(abs(value - step) < _TINY for step in self.steps)
        return self.low - _TINY <= value <= self.high + _TINY

    def unit(self, value: float) -> float:
        """Return a number of the scale as a share of its range, in [0, 1]."""
        return (value - self.low) / (self.high - self.low)


UNIT = Scale()

_NUMBER = r"[-+]?(?:\d{1,12}(?:\.\d{1,18})?|\.\d{1,18})"
_OF = r"(?:/|out\s+of|of\s+a\s+possible)"
_FULL = r"\s*分?\s*[(,]?\s*满分\s*(?:为|是|:)?\s*"
# A number with what may follow it: a percent sign, or the greatest number that there could have been.
_VALUE = re.compile(
    rf"(?P<number>{_NUMBER})(?:\s*(?P<percent>%)|\s*{_OF}\s*(?P<of>{_NUMBER})|{_FULL}(?P<full>{_NUMBER})|)",
    re.IGNORECASE,
)
# What may not follow: more digits, a decimal comma, a range, an alternative, another fraction.
_GOES_ON = re.compile(
    r"[ \t]*(?:[-~–—+=×*x]\s*\d|[-=]?>|→|%|/|,\d|[.:]\d|(?:to|or|and|至|到|或|和)\s*\d)|[A-Za-z\d_]"
    r"|\.(?![\s\"')\]}*]|$)",
    re.IGNORECASE,
)

_WHOLE = r"overall|final|total|aggregate|最终|最后|综合|总体|总"
_SCORE = r"(?:score|rating|得分|评分|分数|打分)"
# No minus sign: it belongs to the number.
_MARKUP = r"[\s*_`\"'“”#>(\[【]{0,20}"
# A label counts where a statement begins: a word before it makes it the score of one aspect.
_BEGIN = (
    r"(?:^|[\n.!?;,:{])[\s*_`\"'“”#>\-(\[【\d.)]{0,20}"
    r"(?:(?:the|my|your|our|so|thus|therefore|hence|i\s+give\s+a|this\s+answer's|因此|所以|故|我的|"
    r"(?:该|此|这个)?(?:回答|答案)的?)[\s*_,:]{0,8}){0,4}"
)
_LABEL = re.compile(
    rf"{_BEGIN}(?:(?:{_WHOLE})[\s_*-]{{0,8}}(?:的)?)?(?:{_SCORE}|(?<=总)分)[*_`\"'“”\s\])】]{{0,20}}"
    rf"(?:\([^)\n]{{0,40}}\)\s*)?(?P<sign>[:=]|is\b|was\b|为|是)[:\s]{{0,8}}(?P<markup>{_MARKUP})",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\[\[\s{0,8}(?=[-+.\d][\d./\s]{0,12}\]\])")
_RESULT = re.compile(r"\[(?:result|结果)\]\s{0,8}:?[\s*(]{0,20}(?=[-+.\d])", re.IGNORECASE)
_GIVEN = re.compile(r"(?:得|打|给|给出|评)\s*(?:了|出)?\s*(?=\d[\d.]*\s*分)")
# "Score: 1 if it is right" and "Score: 1 = wrong" explain a scale.
_LEGEND = re.compile(
    rf"{_NUMBER}\s*分?\s*[(,]?\s*(?:(?:only\s+)?if\b|unless\b|when\b|means\b|如果|若|仅?当|表示|代表)",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"(?:\bif\b|\bunless\b|\bwould\b|\bcould\b|如果|若|假如|只有|本可|才能|则)", re.IGNORECASE
)

_KEYS = frozenset(
    "score rating grade overall_score final_score total_score 分数 得分 评分 打分 总分 最终得分".split()
)
_OBJECT = re.compile(r"\{(?=\s{0,100}[\"}])")
_MOST_TRIES = 50
_FENCE = re.compile(r"```[a-zA-Z]*\s*|```")


def plain(text: str) -> str:
    """Return a text with full-width signs and digits as ASCII, without reasoning between think tags."""
    flat = unicodedata.normalize("NFKC", text).replace("⁄", "/").replace("。", ". ").replace("、", ", ")
    # Some chat templates open the tag in the prompt, and a cut reply does not close it.
    return re.sub(r"(?is)^.*</think>|<think>.*$", "", flat)


def parse_score(text: str, scale: Scale = UNIT, *, cut: bool = False) -> float | Unparsed:
    """Return the one number that a reply gives, on ``scale``, or why there is none.

    Read are JSON objects with a score (bare, fenced, or within text), ``Score: 0.8``, ``分数：0.8``,
    ``8/10``, ``80 %``, ``[RESULT] 4``, ``[[5]]``, ``打8分`` and a number alone, full-width digits too.  A
    fraction's denominator is the scale's end, or anything where the scale is [0, 1].  ``cut`` says that the
    reply ended at its length limit: a number at its very end may be the half of one.
    """
    flat = plain(text)
    objects, rest = _split(flat, _KEYS)
    found: list[Fraction | Unparsed] = [_json_score(entry, scale) for entry in objects]
    found += [_at(rest, place, scale, cut) for place in _places(rest)]
    if not found:
        found += _alone(rest, scale, cut)
    return _agreed(found, scale)


def _agreed(found: list[Fraction | Unparsed], scale: Scale) -> float | Unparsed:
    if not found:
        return Unparsed("no score in the reply")
    for value in found:
        if isinstance(value, Unparsed):
            return value
    values = {value for value in found if isinstance(value, Fraction)}
    if len(values) > 1:
        return Unparsed("contradictory scores: " + ", ".join(f"{float(v):g}" for v in sorted(values)))
    number = float(values.pop())
    if not scale.holds(number):
        return Unparsed(f"{number:g} is not on the scale")
    return number


def _split(text: str, keys: frozenset[str]) -> tuple[list[dict[str, Any]], str]:
    """Return what the JSON objects of a text hold under these keys, and the text between objects."""
    decoder, found, rest, start, tries = json.JSONDecoder(strict=False), [], [], 0, 0
    while (brace := _OBJECT.search(text, start)) is not None and tries < _MOST_TRIES:
        rest.append(text[start : brace.start()])
        try:
            value, start = decoder.raw_decode(text, brace.start())
        except (ValueError, RecursionError):
            rest.append("{")
            start, tries = brace.start() + 1, tries + 1
            continue
        rest.append("\n")
        named = {str(key).strip().lower(): entry for key, entry in value.items()}
        found.append({key: entry for key, entry in named.items() if key in keys})
    rest.append(text[start:])
    return [entries for entries in found if entries], _FENCE.sub("\n", "".join(rest))


def _json_score(entry: dict[str, Any], scale: Scale) -> Fraction | Unparsed:
    read = [_json_value(value, scale) for value in entry.values()]
    bad = next((value for value in read if isinstance(value, Unparsed)), None)
    if bad is not None:
        return bad
    return read[0] if len(set(read)) == 1 else Unparsed("contradictory scores in one object")


def _json_value(value: Any, scale: Scale) -> Fraction | Unparsed:
    if isinstance(value, str):
        match = _VALUE.fullmatch(value.strip().removesuffix("分").strip())
        return Unparsed("the score is a text, not a number") if match is None else _number(match, scale)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Unparsed(f"the score is {'null' if value is None else 'not a number'}")
    if not abs(value) < _LARGEST:
        return Unparsed("the score is not a number of any scale")
    return Fraction(repr(value))


def _places(text: str) -> Iterator[int]:
    """Yield where a number begins that a label says to be the score of the whole answer."""
    yield from (m.end() for m in _LABEL.finditer(text) if _states(text, m))
    yield from (m.end() for m in _GIVEN.finditer(text) if not _conditional(text, m.start()))
    for pattern in (_BRACKETS, _RESULT):
        yield from (m.end() for m in pattern.finditer(text))


def _states(text: str, label: re.Match[str]) -> bool:
    """Tell whether a label is followed by a number that is said of this answer."""
    after = text[label.end() : label.end() + _LINE]
    if not re.match(r"[-+.\d]", after) or _LEGEND.match(after):
        return False
    return label["sign"] in ":=" or not _conditional(text, label.start("sign"))


def _conditional(text: str, place: int) -> bool:
    """Tell whether the sentence around a place says what the score would be, not what it is."""
    begin = max(text.rfind(mark, 0, place) for mark in ("\n", ". ", "!", "?")) + 1
    stop = re.search(r"\n|\. |[!?]", text[place:])
    return _CONDITION.search(text, begin, place + stop.start() if stop else len(text)) is not None


def _at(text: str, place: int, scale: Scale, cut: bool) -> Fraction | Unparsed:
    """Read the number at a place, or say why it is none."""
    match = _VALUE.match(text, place)
    if match is None:
        return Unparsed("no number after the label")
    if _GOES_ON.match(text, match.end()):
        return Unparsed("more than one number after the label")
    if _open_object(text, place) and not re.match(r"[\"'\s]*[,}]", text[match.end() :]):
        return Unparsed("the object was cut off in its score")
    if cut and match.end() == len(text.rstrip()):
        return Unparsed("the reply was cut off in its score")
    return _number(match, scale)


def _open_object(text: str, place: int) -> bool:
    """Tell whether the number at a place is the value of a key in an object that is not closed before it."""
    quoted = re.search(r"[\"']\s*:\s*[\"']?$", text[max(place - 20, 0) : place]) is not None
    return quoted and text.rfind("{", 0, place) > text.rfind("}", 0, place)


def _number(match: re.Match[str], scale: Scale) -> Fraction | Unparsed:
    value = Fraction(match["number"])
    if match["percent"]:
        if scale.low != 0:
            return Unparsed("a percentage of a scale that does not begin at 0")
        return value / 100 * Fraction(repr(float(scale.high)))
    of = match["of"] or match["full"]
    if of is None:
        return value
    greatest = Fraction(of)
    if greatest <= 0 or not 0 <= value <= greatest:
        return Unparsed("a fraction outside 0 to 1")
    if float(greatest) == scale.high:
        return value
    if (scale.low, scale.high) == (0, 1):
        return value / greatest
    return Unparsed(f"out of {of}, but the scale ends at {scale.high:g}")


_LONE = re.compile(
    rf"[*_`\"'(\[]{{0,5}}(?P<value>{_VALUE.pattern.replace('?P<', '?P<lone_')})\s*分?[*_`\"')\]]{{0,5}}\.?",
    re.IGNORECASE,
)


def _alone(text: str, scale: Scale, cut: bool) -> list[Fraction | Unparsed]:
    """Read a number alone on the first line; one alone on the last is no score but can contradict it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lone = [_LONE.fullmatch(line) if len(line) <= _LINE else None for line in lines]
    # "1." above other lines begins a list.
    if not lines or lone[0] is None or (len(lines) > 1 and lines[0].endswith(".")):
        return []
    found = []
    for k in {0, len(lines) - 1}:
        row = lone[k]
        match = None if row is None else _VALUE.match(lines[k], row.start("value"))
        if match is not None:
            halved = cut and k == len(lines) - 1 and lines[k][-1].isdigit()
            found.append(Unparsed("the reply was cut off in its score") if halved else _number(match, scale))
    return found


_TWO = re.compile(
    rf"\W*(?:(?:scores?|ratings?|得分|评分|分数)\s*:?\s*)?[(\[*]*({_NUMBER}(?:\s*/\s*{_NUMBER})?)"
    rf"(?:\s*[,;|]\s*|\s+(?:and\s+|和\s*)?)({_NUMBER}(?:\s*/\s*{_NUMBER})?)[)\]*]*\s*\.?\s*",
    re.IGNORECASE,
)


def parse_pair(text: str, scale: Scale) -> tuple[float, float] | Unparsed:
    """Return the two scores of a reply that begins with them on one line (``8 6``), as Vicuna's judge does.

    Another line of two lone numbers that says otherwise makes the reply contradictory.
    """
    lines = [line for line in plain(text).splitlines() if line.strip()]
    short = ((i, line) for i, line in enumerate(lines) if len(line) <= _LINE)
    pairs = [(i, m) for i, line in short if (m := _TWO.fullmatch(line))]
    if not pairs or pairs[0][0] != 0:
        return Unparsed("the first line is not two scores")
    read = [tuple(_json_value(side, scale) for side in match.groups()) for _, match in pairs]
    for side in (side for pair in read for side in pair):
        if isinstance(side, Unparsed):
            return side
        if not scale.holds(float(side)):
            return Unparsed(f"{float(side):g} is not on the scale")
    if len(set(read)) > 1:
        return Unparsed("contradictory pairs of scores")
    first, second = read[0]
    return float(first), float(second)  # type: ignore[arg-type]


_CHOICE = r"(?:tie|draw|equal|both|neither|平局|平|一样|相同|[ABC12])"
_BETTER_KEYS = frozenset("better winner preference choice verdict 更好 胜者".split())
_BETTER = re.compile(
    rf"(?:^|[\n.!?;,:])[\s*_`\"'#>\-]{{0,20}}(?:(?:the|my|final|overall)\s+){{0,4}}(?:better|winner|preference|verdict|choice|"
    rf"更好(?:的(?:回答|答案)?)?|胜者|结论)[\s*_`\"']{{0,20}}(?:is\b|[:=]|是|为)[\s:*_`\"'\[(]{{0,20}}(?:answer|assistant|回答|答案)?\s*"
    rf"(?P<choice>{_CHOICE})(?=[\s*_`\"')\]]{{0,20}}(?:$|\n|[,.;:!]))",
    re.IGNORECASE,
)
_VERDICT = re.compile(rf"\[\[\s*(?P<choice>{_CHOICE})\s*\]\]", re.IGNORECASE)
_MEANS: dict[str, Better] = {"a": "A", "1": "A", "b": "B", "2": "B"}


def parse_better(text: str) -> Better | Unparsed:
    """Return which of two answers a reply prefers.

    Read are JSON, ``[[A]]`` (``[[C]]`` is a tie), ``Better: A``, ``更好：B`` and a letter alone.
    """
    flat = plain(text)
    objects, rest = _split(flat, _BETTER_KEYS)
    choices = [_choice(value) for entry in objects for value in entry.values()]
    choices += [_choice(m["choice"]) for pattern in (_VERDICT, _BETTER) for m in pattern.finditer(rest)]
    if not choices and (lone := re.fullmatch(rf"\W*({_CHOICE})\W*", flat, re.IGNORECASE)):
        choices = [_choice(lone[1])]
    said = [choice for choice in dict.fromkeys(choices) if choice is not None]
    if None in choices:
        return Unparsed("the choice is none of A, B, tie")
    if len(said) == 1:
        return said[0]
    return Unparsed("contradictory choices" if said else "no choice in the reply")


def _choice(value: Any) -> Better | None:
    word = str(value).strip().lower().removeprefix("answer").removeprefix("回答").strip(" _\"'[]")
    if not re.fullmatch(_CHOICE, word, re.IGNORECASE):
        return None
    return _MEANS.get(word, "tie")
