"""Replies of judges to numbers: every known form is read, nothing is guessed.

A reply is read as a number only if all that it says of the score agrees and lies on the scale.  Anything else
is :class:`Unparsed` with the reason, and is never a number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from assay.judging._claims import (
    Claim,
    Rank,
    claims,
    lone_numbers,
    objects_before,
    other_scale,
    sentences,
)
from assay.judging._numbers import quantities, single
from assay.judging._reply import (
    OBJECT,
    Pairs,
    is_object,
    not_said,
    pairs_of,
    parts,
    plain,
    unquoted,
    value_of,
)
from assay.judging._scale import UNIT, Scale, Unparsed, from_share
from assay.judging._words import EXAMPLE, IS_A_THING, ITS_OUTPUT, NEAR

_LARGEST = 1e12

_PLAIN_KEYS = frozenset("score rating grade mark points 分数 得分 评分 打分".split())
_FINAL_KEYS = frozenset(
    "final_score overall_score overall_rating final_rating final_grade overall_grade overall final total "
    "total_score"
    " 总分 最终得分 最终评分 最终分数 综合得分 综合评分 总评 总体得分 总体评分".split()
)
_TOTALS = frozenset(["total", "total_score", "总分"])
_ENDS = frozenset(
    "max_score max maximum maximum_score out_of scale full_score full_marks max_rating total_possible "
    "满分".split()
)
_WRAPPERS = frozenset(
    "evaluation result verdict judgement judgment output response scores ratings 评价 结果 评估".split()
)
_BROKEN = re.compile(
    rf"[\"'](?P<key>{'|'.join(sorted(_PLAIN_KEYS | _FINAL_KEYS))})[\"']\s{{0,8}}:\s{{0,8}}"
    r"(?P<value>[\"']?[^\s\"',}\]|]{1,24}(?:\s*\|[^,}]{0,40})?[\"']?)\s{0,20}(?P<end>[,}]|$)",
    re.IGNORECASE,
)


def parse_score(text: str, scale: Scale = UNIT, *, cut: bool = False) -> float | Unparsed:
    """Return the one number that a reply gives, on ``scale``, or why there is none.

    Read are JSON objects with a score (bare, fenced, or within text), ``Score: 0.8``, ``分数：0.8``,
    ``8/10``, ``8 out of 10``, ``80 %``, ``[RESULT] 4``, ``[[5]]``, ``打八分``, ``十分之八``,
    ``★★★★☆``, "I give it an eight", and a number alone.  A final or corrected score takes the place of
    earlier ones.  Left out is what stands in think tags, in quotes, or after words such as *for example*,
    *maximum*, *previous* and *if*.  A score out of another number than the scale's end is converted where the
    scale begins at 0.  ``cut`` says that the reply ended at its length limit: a number at its very end may be
    the half of one.
    """
    flat = plain(text)
    whole = parts(flat)
    found = [*_objects(whole.text, whole.objects, scale), *_broken(whole.text, scale)]
    body = _joined(unquoted(_BROKEN.sub("", whole.text)))
    found += _scaled(claims(body, scale), other_scale(body, scale))
    lone = lone_numbers(body, scale)
    known = {claim.place for claim in found}
    found += [replace(c, rank=Rank.WEAK) if known else c for c in lone if c.place not in known]
    if cut and found and re.search(r"\d\s*$", flat):
        return Unparsed("the reply was cut off in its score")
    return _agreed(sorted(found, key=lambda claim: claim.place), scale, doubted=_doubted(body))


def _scaled(found: Sequence[Claim], other: str | None) -> list[Claim]:
    """Return claims; where another scale is named, a number without its own end is on an unknown scale."""
    if other is None:
        return list(found)
    lost = Unparsed(f"another scale, that ends at {other}, is named")
    return [
        claim if claim.scaled or claim.rank is Rank.FORMAL else replace(claim, value=lost) for claim in found
    ]


def _agreed(found: Sequence[Claim], scale: Scale, *, doubted: float) -> float | Unparsed:
    found = [_in_turn(claim, found) for claim in found]
    counted = [claim for claim in found if claim.rank > Rank.WEAK or _contradicts(claim, found, scale)]
    named = [claim for claim in counted if claim.rank > Rank.WEAK]
    if not named:
        return Unparsed("only scores of single aspects") if found else not_said("score")
    turns = [claim for claim in named if claim.rank is Rank.CORRECTED] or [
        claim for claim in named if claim.rank is Rank.FINAL
    ]
    if turns:
        since = turns[-1].place if turns[-1].rank is Rank.CORRECTED else turns[0].place
        counted = [claim for claim in counted if claim.place >= since or claim.rank is Rank.FORMAL]
    if doubted > max(claim.place for claim in counted):
        return Unparsed("the reply takes its score back")
    if any(claim.total for claim in counted) and _adds_up(found, counted[-1]):
        return Unparsed("a total of single aspects: its scale is not known")
    return _one([claim.value for claim in counted], scale)


def _in_turn(claim: Claim, found: Sequence[Claim]) -> Claim:
    """Return a correction as one only where it follows a score, and no formal verdict follows it."""
    if claim.rank is not Rank.CORRECTED:
        return claim
    earlier = any(other.place < claim.place and other.rank > Rank.ASPECT for other in found)
    later = any(other.place > claim.place and other.rank is Rank.FORMAL for other in found)
    return claim if earlier and not later else replace(claim, rank=Rank.WEAK)


def _contradicts(claim: Claim, found: Sequence[Claim], scale: Scale) -> bool:
    """Tell whether a weak number may be a score: it is on the scale, and no formal verdict is there."""
    formal = any(other.rank is Rank.FORMAL for other in found)
    value = claim.value
    return (
        claim.rank is Rank.WEAK and not formal and isinstance(value, Fraction) and scale.holds(float(value))
    )


def _one(values: Sequence[Fraction | Unparsed], scale: Scale) -> float | Unparsed:
    bad = next((value for value in values if isinstance(value, Unparsed)), None)
    if bad is not None:
        return bad
    said = {value for value in values if isinstance(value, Fraction)}
    if len(said) > 1:
        return Unparsed("contradictory scores: " + ", ".join(f"{float(v):g}" for v in sorted(said)))
    number = float(said.pop())
    return number if scale.holds(number) else Unparsed(f"{number:g} is not on the scale")


def _adds_up(found: Sequence[Claim], total: Claim) -> bool:
    """Tell whether a total is the sum of two or more scores of aspects."""
    single_ones = [c.value for c in found if c.rank is Rank.ASPECT and isinstance(c.value, Fraction)]
    return len(single_ones) > 1 and sum(single_ones) == total.value


_BACK = re.compile(
    r"(?:wait|hmm|no\b|scratch|correction|on\s+second\s+thought|不对|等等|等一下|更正)"
    r"|(?:that|this|it|which)\s+(?:is|was|seems|may\s+be|might\s+be|feels)\s+(?:\w+\s+)?too\s+(?:high"
    r"|low|generous|harsh|strict|lenient)",
    re.IGNORECASE,
)


def _doubted(text: str) -> float:
    """Return where a reply takes back what it said, as the place between two numbers; -1 if it does not."""
    place, before = -1.0, False
    for sentence in sentences(text):
        if before and _BACK.match(sentence.text):
            place = sentence.first - 0.5
        before = before or bool(sentence.quantities)
    return place


_LABEL_ALONE = re.compile(
    r"(?im)^([^\n\d]{0,40}(?:score|rating|grade|verdict|得分|评分|分数|总分)[^\S\n]*:?)[^\S\n]*\n+[ \t]*"
    r"(?=[\[(★⭐]{0,2}[\d★⭐.])"
)


def _joined(text: str) -> str:
    """Return a text in which a label alone on its line is joined with the line below; tables are lists."""
    text = re.sub(r"(?m)^[ \t]*\|(.*?)\|?[ \t]*$", lambda row: row[1].replace("|", " : "), text)
    return _LABEL_ALONE.sub(lambda found: found[1].rstrip(": ") + ": ", text)


def _objects(text: str, objects: Sequence[Pairs], scale: Scale) -> list[Claim]:
    """Return what the objects of a reply say; one that follows *for example* says nothing."""
    found = []
    after = [piece[: 2 * NEAR] for piece in text.split(OBJECT)[1:]]
    for k, (before, behind, pairs) in enumerate(zip(objects_before(text), after, objects, strict=True)):
        others = EXAMPLE.search(before[-NEAR:]) or ITS_OUTPUT.search(before) or IS_A_THING.match(behind)
        if others is None:
            # Objects stand before the text's numbers in the order that counts: a final score is said later.
            found += [replace(claim, place=k / (len(objects) + 1) - 1) for claim in _entries(pairs, scale)]
    return found


def _entries(pairs: Pairs, scale: Scale, depth: int = 0) -> list[Claim]:
    """Return the score of one object: a final one, else all that are plain, else what a wrapper holds."""
    ends = [_end(value) for _, value in value_of(pairs, _ENDS)]
    of = ends[0] if len(ends) == 1 else None
    if None in ends or len(ends) > 1:
        return (
            [Claim(0, Rank.FORMAL, Unparsed("the end of its scale cannot be read"))]
            if value_of(pairs, _PLAIN_KEYS | _FINAL_KEYS)
            else []
        )
    for keys, rank in ((_FINAL_KEYS, Rank.FINAL), (_PLAIN_KEYS, Rank.FORMAL)):
        entries = value_of(pairs, keys)
        if not entries:
            continue
        values = [_nested(value, scale, of, depth) for _, value in entries]
        if rank is Rank.FINAL and any(key in _TOTALS for key, _ in entries) and _summed(pairs, values[-1]):
            return [Claim(0, rank, Unparsed("a total of single aspects: its scale is not known"))]
        return [Claim(0, rank, value) for value in values]
    inner = value_of(pairs, _WRAPPERS) if depth < 3 else []
    return [
        claim
        for _, value in inner
        if is_object(value)
        for claim in _entries(pairs_of(value), scale, depth + 1)
    ]


def _nested(value: Any, scale: Scale, of: Fraction | None, depth: int) -> Fraction | Unparsed:
    if not is_object(value):
        return _json_value(value, scale, of)
    inner = _entries(pairs_of(value), scale, depth + 1) if depth < 3 else []
    values = {claim.value for claim in inner}
    return values.pop() if len(values) == 1 else Unparsed("the score is not a number")


def _summed(pairs: Pairs, total: Fraction | Unparsed) -> bool:
    others = [_fraction(value) for key, value in pairs if not value_of(((key, value),), _FINAL_KEYS | _ENDS)]
    numbers = [value for value in others if value is not None]
    return len(numbers) > 1 and sum(numbers) == total


def _end(value: Any) -> Fraction | None:
    """Return the end of a scale that an object names: 10, or "0-10" (from 0 only)."""
    if not isinstance(value, str):
        return _fraction(value)
    found = quantities(value)
    if len(found) != 1:
        return None
    return found[0].value if found[0].bad is None else found[0].of if found[0].low == 0 else None


def _fraction(value: Any) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
        return None
    return Fraction(repr(value))


def _json_value(value: Any, scale: Scale, of: Fraction | None = None) -> Fraction | Unparsed:
    if isinstance(value, str):
        quantity = single(plain(value))
        if quantity is None:
            return Unparsed("the score is a text, not a number")
        return (quantity if of is None or quantity.of is not None else replace(quantity, of=of)).on(scale)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Unparsed(f"the score is {'null' if value is None else 'not a number'}")
    number = _fraction(value)
    if number is None:
        return Unparsed("the score is not a number of any scale")
    # An object that gives the end of its scale may repeat the scale's own.
    return number if of is None else from_share(number, of, scale)


def _broken(text: str, scale: Scale) -> list[Claim]:
    """Return what entries of an object that could not be read say, if their value is whole."""
    found = []
    for match in _BROKEN.finditer(text):
        if match["end"]:
            value = _json_value(match["value"].strip("\"'"), scale)
        else:
            value = Unparsed("the object was cut off in its score")
        rank = Rank.FINAL if match["key"].lower() in _FINAL_KEYS else Rank.FORMAL
        found.append(Claim(-0.5, rank, value))
    return found


_NUMBER = r"[-+]?(?:\d{1,12}(?:\.\d{1,18})?|\.\d{1,18})"
_TWO = re.compile(
    rf"\W*(?:(?:scores?|ratings?|得分|评分|分数)\s*:?\s*)?[(\[*]*({_NUMBER}(?:\s*/\s*{_NUMBER})?)"
    rf"(?:\s*[,;|]\s*|\s+(?:and\s+|和\s*)?)({_NUMBER}(?:\s*/\s*{_NUMBER})?)[)\]*]*\s*\.?\s*",
    re.IGNORECASE,
)
_LINE = 200


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
