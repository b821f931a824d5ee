"""What a reply says of the score: each number with the words around it, and how much it counts.

A number counts only where the words before it are known to speak of this answer's score.  The words are
matched against what may stand there, not against what may not: an unknown one makes the number no score.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction

from assay.judging import _words as words
from assay.judging._numbers import BOUND, MARK, NEGATED, Quantity, mark
from assay.judging._reply import OBJECT
from assay.judging._scale import Scale, Unparsed


class Rank(IntEnum):
    """How much a number counts.

    ``ASPECT`` numbers count for nothing; ``WEAK`` ones are no score, but one that differs makes the reply
    contradictory; ``FINAL`` and ``CORRECTED`` ones take the place of what stands before them.
    """

    ASPECT = 0
    WEAK = 1
    PLAIN = 2
    FORMAL = 3
    FINAL = 4
    CORRECTED = 5


@dataclass(frozen=True, slots=True)
class Claim:
    """A number said of the score, at the ``place``-th quantity or object of a reply.

    ``scaled`` says that the end of its scale stands beside it, ``total`` that it is called a total.
    """

    place: float
    rank: Rank
    value: Fraction | Unparsed
    scaled: bool = False
    total: bool = False


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with signs for its quantities; ``first`` counts those before it, ``objects`` the objects."""

    text: str
    quantities: tuple[Quantity, ...]
    first: int
    line: str
    begins: bool
    headed: bool


def sentences(text: str) -> Iterator[Sentence]:
    """Yield the sentences of a text with their quantities marked."""
    marked, found = mark(text)
    count, begins, headed = 0, True, False
    for line in marked.split("\n"):
        if not line.strip():
            headed = False
            continue
        for piece in words.SENTENCE_END.split(line):
            own = tuple(found[count : count + piece.count(MARK)])
            if piece.strip():
                yield Sentence(piece.strip(), own, count, line.strip(), begins, headed)
                begins = False
            count += piece.count(MARK)
        headed |= line.rstrip().endswith(":") and words.HEADER.search(line) is not None


def other_scale(text: str, scale: Scale) -> str | None:
    """Return the end of another scale that a text names, or None."""
    for sentence in sentences(text):
        for match in words.NAMES_SCALE.finditer(sentence.text):
            quantity = sentence.quantities[sentence.text.count(MARK, 0, match.end()) - 1]
            end = quantity.of if quantity.bad else quantity.value
            if end is not None and end not in (0, Fraction(repr(float(scale.high)))):
                return f"{float(end):g}"
    return None


def claims(text: str, scale: Scale) -> list[Claim]:
    """Return what a text says of the score, in order; one claim a number."""
    found: dict[float, Claim | None] = {}
    for sentence in sentences(text):
        for claim, place in _said(sentence, scale):
            if place not in found:
                found[place] = claim
    return [claim for claim in found.values() if claim is not None]


def _said(sentence: Sentence, scale: Scale) -> Iterator[tuple[Claim | None, float]]:
    """Yield claims, or None for a number that is known to be none; what is said first of a number holds."""
    text = sentence.text
    for match in words.CORRECTION.finditer(text):
        yield _corrected(sentence, match, scale)
    for match in words.FORMAL.finditer(text):
        yield _claim(sentence, match, _formal_rank(sentence, match), scale)
    for match in words.LABEL.finditer(text):
        yield _labelled(sentence, match, scale)
    for match in words.VERB.finditer(text):
        yield _claim(sentence, match, _verb_rank(sentence, match, scale), scale)
    for match in words.HAN_VERB.finditer(text):
        yield _claim(sentence, match, _han_rank(sentence, match), scale)
    yield from _bare(sentence, scale)
    for match in words.HEDGED.finditer(text):
        yield _claim(sentence, match, None if words.DENIED.search(match[0]) else Rank.WEAK, scale)
    if (line := words.ASPECT_LINE.match(text)) is not None:
        yield _claim(sentence, line, Rank.ASPECT, scale)


def _formal_rank(sentence: Sentence, match: re.Match[str]) -> Rank | None:
    before, after = _before(sentence, match), _after(sentence, match)
    if words.EXAMPLE.search(before[-words.NEAR :]) or words.IS_A_THING.match(after):
        return None
    return None if words.BOXED_FACT.search(before) else Rank.FORMAL


def _index(sentence: Sentence, match: re.Match[str]) -> int:
    """Return which quantity of its sentence a match ends with."""
    return sentence.text.count(MARK, 0, match.end()) - 1


def _after(sentence: Sentence, match: re.Match[str]) -> str:
    """Return what follows the number with which a match ends (a match may go on behind it)."""
    place = match.start() + match[0].rindex(MARK) + 1
    return sentence.text[place : place + words.REACH]


def _before(sentence: Sentence, match: re.Match[str]) -> str:
    return sentence.text[max(match.start() - words.REACH, 0) : match.start()]


def _claim(
    sentence: Sentence, match: re.Match[str], rank: Rank | None, scale: Scale, *, of: Quantity | None = None
) -> tuple[Claim | None, float]:
    k = _index(sentence, match)
    quantity, place = sentence.quantities[k], float(sentence.first + k)
    if rank is None or quantity.bad == NEGATED:
        return None, place
    if of is not None and quantity.of is None and quantity.bad is None:
        quantity = replace(quantity, of=of.of if of.bad else of.value, low=of.low if of.bad else None)
    if sentence.headed and rank not in (Rank.ASPECT, Rank.CORRECTED):
        rank = Rank.WEAK
    return Claim(place, rank, quantity.on(scale), scaled=quantity.of is not None or quantity.percent), place


def leftover(before: str) -> str:
    """Return the words that are not known to lead to a score."""
    before = words.OPEN_HAN.sub(" ", words.PHRASES.sub(" ", before))
    unknown = [
        word
        for word in re.findall(r"[^\s,.;:!?*()\[\]\"|>—–\-#•+]+", before.lower())
        if word not in words.OPEN_WORDS
    ]
    return " ".join(unknown)


def _dropped(before: str) -> bool:
    return (
        words.FOREIGN.search(words.PHRASES.sub(" ", before)) is not None
        or words.NOT_SO.search(before) is not None
    )


def _context(before: str) -> Rank | None:
    """Return how a number counts after these words of its sentence: PLAIN, WEAK, ASPECT, or None."""
    if words.ORDER.match(before):
        return None
    if words.SPEAKER.search(before):
        return Rank.WEAK
    if not leftover(before):
        return None if _dropped(before) else Rank.PLAIN
    cut = max(before.rfind(sign) for sign in (",", ";", ":", "|", " but ", "但", "—", " – "))
    remote, local = (before[: cut + 1], before[cut + 1 :]) if cut >= 0 else ("", before)
    if leftover(local):
        return None if _dropped(before) else Rank.ASPECT
    if MARK in remote and not words.NOT_SO.search(local):
        return Rank.PLAIN
    if words.NOT_SO.search(local) or (words.IF.search(remote) and not words.BUT.search(remote)):
        return None
    if words.OWN_WORDS.search(local) and not words.SPEAKS.search(remote):
        return Rank.PLAIN
    if _dropped(remote):
        return None
    return (
        Rank.PLAIN if words.CLAUSE_OPENER.match(remote) and not remote.rstrip().endswith(":") else Rank.WEAK
    )


def _followed(sentence: Sentence, match: re.Match[str], scale: Scale) -> Rank | str | None:
    """Return how what follows a number lets it count: PLAIN, ASPECT, None, or why it is unclear."""
    after = _after(sentence, match)
    if words.AFTER_SUM.search(after) and not sentence.quantities[_index(sentence, match)].summed:
        return "what follows the number is unclear"
    if words.AFTER_LEGEND.match(after) or words.AFTER_FOREIGN.match(after):
        return None
    if words.AFTER_FINE.match(after) or sentence.quantities[_index(sentence, match)].summed:
        return Rank.PLAIN
    if _again(sentence, match, scale):
        return Rank.PLAIN
    return Rank.ASPECT if words.AFTER_ASPECT.match(after) else "what follows the number is unclear"


def _again(sentence: Sentence, match: re.Match[str], scale: Scale) -> bool:
    """Tell whether a number is said again in brackets: "seven (7)", "7 (70 %)"."""
    k = _index(sentence, match)
    if not re.match(rf"{words.UNIT}\s*\(\s*{MARK}{words.UNIT}\s*\)", _after(sentence, match)):
        return False
    return sentence.quantities[k].on(scale) == sentence.quantities[k + 1].on(scale)


def _labelled(sentence: Sentence, match: re.Match[str], scale: Scale) -> tuple[Claim | None, float]:
    rank, followed = _label_rank(sentence, match), _followed(sentence, match, scale)
    if rank is None or followed is None or not _states(sentence, match):
        return None, float(sentence.first + _index(sentence, match))
    if followed is Rank.ASPECT:
        rank = Rank.ASPECT
    claim, place = _claim(sentence, match, rank, scale, of=_stated_scale(sentence, match))
    if claim is None:
        return None, place
    if isinstance(followed, str) and rank is not Rank.ASPECT:
        claim = replace(claim, value=Unparsed(followed))
    # "总分10分，得8分": the first is the end of the scale.
    if match["final"] == "总" and match["sign"] is None and claim.value == Fraction(repr(float(scale.high))):
        return None, place
    return replace(claim, total=(match["final"] or match["label"]).lower() in ("total", "总")), place


def _label_rank(sentence: Sentence, match: re.Match[str]) -> Rank | None:
    before = _before(sentence, match)
    rank = _context(before)
    if rank is Rank.PLAIN and (
        match["final"] or _lone(match) or re.search(words.FINAL, before, re.IGNORECASE)
    ):
        return Rank.FINAL
    return rank


def _lone(match: re.Match[str]) -> bool:
    """Tell whether a label is a word such as *overall*, that is one only before a sign or a fraction."""
    return match["label"].lower() in ("overall", "final", "verdict", "total", "总评", "总体", "综合")


def _states(sentence: Sentence, match: re.Match[str]) -> bool:
    """Tell whether a label and what stands between say that a number is the score."""
    after, quantity = _after(sentence, match), sentence.quantities[_index(sentence, match)]
    if words.NAMED.search(match["fill"]):
        return False
    if match["modal"] and words.IF.search(_before(sentence, match) + after):
        return False
    if _lone(match):
        if match["sign"]:
            return re.search(r"[:=|]", match["sign"]) is not None
        return quantity.of is not None or quantity.unit
    # "Score 8" alone says it, "Score 8: good" explains a scale.
    return (
        match["sign"] is not None
        or re.fullmatch(rf"{words.UNIT}\s*[.!。]?\s*", after) is not None
        or after.startswith("分")
    )


def _stated_scale(sentence: Sentence, match: re.Match[str]) -> Quantity | None:
    """Return the scale that is named before a number: "Score (0-5):", "On a scale of 0 to 5"."""
    text, at = sentence.text, None
    paren = match["paren"] if "paren" in match.groupdict() else None
    if paren and paren.count(MARK) == 1:
        at = text.index(MARK, match.start("paren"))
    elif (
        scale := words.SCALE_IN.search(
            text, max(match.start() - words.REACH, 0), match.start() + match[0].rindex(MARK)
        )
    ) is not None:
        at = scale.end() - 1
    return None if at is None else sentence.quantities[text.count(MARK, 0, at)]


def _verb_rank(sentence: Sentence, match: re.Match[str], scale: Scale) -> Rank | None:
    before = _before(sentence, match)
    quantity = sentence.quantities[_index(sentence, match)]
    local = re.split(r"[,;:—–]|\bbut\b", before)[-1]
    first = re.search(words.FIRST_PERSON, local, re.IGNORECASE) is not None
    if (
        match["own"]
        and not first
        and (local.strip() or not re.search(words.FIRST_PERSON, before, re.IGNORECASE))
    ):
        return None
    if match["gets"] and not (
        quantity.unit or quantity.of or "score" in match["fill"] or "rating" in match["fill"]
    ):
        return None
    if re.search(r"\bwould\b", local, re.IGNORECASE) and not first:
        return None
    rank, followed = _context(before), _followed(sentence, match, scale)
    if words.IF.search(
        re.sub(r"^\s*but\b|\bbut\s*$", "", _after(sentence, match), flags=re.IGNORECASE)
    ) and re.search(r"\bwould\b|'d\b", local, re.IGNORECASE):
        return None
    if rank is None or not isinstance(followed, Rank):
        return None
    if followed is Rank.ASPECT:
        return Rank.ASPECT
    return Rank.WEAK if rank is Rank.ASPECT else rank


def _han_rank(sentence: Sentence, match: re.Match[str]) -> Rank | None:
    before = _before(sentence, match)
    quantity = sentence.quantities[_index(sentence, match)]
    local = re.split(r"[,;:。]|但是?", before)[-1]
    if not (quantity.unit or quantity.of) or re.search(
        r"[不没未别勿]|本可|可以|如果|若|假如|可能|也许|应$", local
    ):
        return None
    if re.search(r"如果|若|假如|要是|除非", before) or re.match(
        r"\s*分?\s*(?:如果|才|左右?不|的话)", _after(sentence, match)
    ):
        return None
    after = _after(sentence, match)
    if (
        re.search(r"扣|加$", local)
        or re.match(r"\s*分?\s*(?:\?|(?:有点)?[太过偏])", after)
        or words.AFTER_LEGEND.match(after)
    ):
        return None
    rank = _context(before)
    if rank is Rank.PLAIN and not words.AFTER_FINE.match(after):
        rank = Rank.WEAK
    if rank is Rank.ASPECT:
        rank = Rank.WEAK
    if rank is Rank.WEAK and not local.strip() and match["verb"][0] in "给打评判记":
        rank = Rank.PLAIN
    if rank is Rank.PLAIN and re.search(r"最终|最后|综合|总体|综上", local):
        return Rank.FINAL
    return rank


def _corrected(sentence: Sentence, match: re.Match[str], scale: Scale) -> tuple[Claim | None, float]:
    before = _before(sentence, match)
    local = re.split(r"[,;:—–]", before)[-1]
    followed = _followed(sentence, match, scale)
    if followed is None or words.NOT_SO.search(local):
        return None, float(sentence.first + _index(sentence, match))
    claim, place = _claim(sentence, match, Rank.CORRECTED, scale)
    if claim is not None and followed is not Rank.PLAIN:
        claim = replace(claim, value=Unparsed("a correction that is unclear"))
    return claim, place


def _bare(sentence: Sentence, scale: Scale) -> Iterator[tuple[Claim | None, float]]:
    """Yield numbers without a label: "8/10", "8分，……" or a first line that is a number alone."""
    text, quantities = sentence.text, sentence.quantities
    if not quantities:
        return
    place = text.index(MARK)
    quantity, after, before = quantities[0], text[place + 1 :], text[:place]
    scored = quantity.unit or quantity.percent or quantity.of == Fraction(repr(float(scale.high)))
    head = re.compile(rf".{{{place}}}{MARK}").match(text)
    alone = sentence.line == text and words.WHOLE.fullmatch(text) is not None
    if (
        head is None
        or leftover(before)
        or quantity.summed
        or _dropped(before)
        or words.OF_FACTS.search(before)
        or words.ORDER.match(before)
    ):
        return
    alone_within = (
        sentence.line != text and not sentence.line.startswith(text) and words.WHOLE.fullmatch(text)
    )
    if (not before and words.TURNED.match(after)) or (alone_within and not scored):
        yield _claim(sentence, head, Rank.WEAK, scale)
    elif (words.AFTER_FINE.match(after) or alone or _again(sentence, head, scale)) and (
        scored or quantity.of is not None
    ):
        yield _claim(sentence, head, Rank.PLAIN if scored or alone else Rank.WEAK, scale)


def lone_numbers(text: str, scale: Scale) -> list[Claim]:
    """Return a number alone on the first line, and one alone on the last, as claims."""
    found = []
    rows = list(sentences(text))
    last = rows[-1].line if rows else ""
    many = bool(rows) and rows[-1].line != rows[0].line
    for sentence in rows:
        at_end = sentence is rows[-1] and sentence.line == last
        if (
            not (sentence.begins or at_end)
            or sentence.line != sentence.text
            or not words.WHOLE.fullmatch(sentence.text)
        ):
            continue
        quantity = sentence.quantities[0]
        # "1." above other lines begins a list.
        if sentence.begins and many and sentence.text.endswith("."):
            continue
        if quantity.bad in (NEGATED, BOUND) or quantity.summed:
            continue
        rank = Rank.PLAIN if sentence.begins else Rank.WEAK
        found.append(Claim(float(sentence.first), rank, quantity.on(scale)))
    return found


def objects_before(text: str) -> list[str]:
    """Return for each object of a text the words before it in its line and, if empty, the line above."""
    found, above = [], ""
    for line in text.split("\n"):
        place = line.find(OBJECT)
        while place >= 0:
            before = line[:place].strip()
            found.append(before or (above if above.endswith(":") else ""))
            place = line.find(OBJECT, place + 1)
        above = line.strip() or above
    return found
