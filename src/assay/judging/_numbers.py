"""Quantities in a text: digits, words, Chinese numerals and stars, with what they are out of.

:func:`mark` puts one sign, :data:`MARK`, where a quantity stands, so that what is said of it can be matched
without its digits.  Ranges, alternatives, bounds and sums are quantities too, with the reason why they are
no number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from assay.judging._scale import Scale, Unparsed, from_share

MARK = "\ue000"
"""Stands in a text for a quantity."""

_STARS_END = 5
MANY = "more than one number"
BOUND = "a bound, not a number"
NEGATED = "negated"

_DIGITS = r"(?:\d{1,12}(?:\.\d{1,18})?(?:[eE][+-]?\d)?|\.\d{1,18})"
_ONES = "zero one two three four five six seven eight nine ten eleven twelve".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_UNDER_TEN = "|".join(_ONES[1:10])
_WORD = (
    rf"(?:(?:{'|'.join(_TENS)})(?:[- ](?:{_UNDER_TEN}))?|(?:a|one)\s+hundred|{'|'.join(reversed(_ONES))})"
    rf"(?:\s+and\s+a\s+half|\s+point\s+(?:zero|{_UNDER_TEN}))?"
)
_HAN = "零〇一二两三四五六七八九十百"
_CHINESE = rf"[{_HAN}]{{1,6}}(?:点[零〇一二三四五六七八九]{{1,3}})?"
_STARS = r"[★⭐🌟✭☆✩]{1,20}"
# A letter, a digit or a point before or behind makes it part of something else: GPT-4, 1.2.3, 第1个.
_ATOM = re.compile(
    r"(?<![A-Za-z\d_.])(?<![A-Za-z]-)(?<!第)(?P<digits>(?:(?<![\d\w%)\]]"
    rf"|(?<=[A-Za-z])\s)[-+](?=[\d.]))?{_DIGITS})"
    r"(?![A-Za-z\d_]|\.\d)"
    rf"|\b(?P<word>{_WORD})\b(?!-)|(?<![第几{_HAN}])(?P<han>{_CHINESE})(?![{_HAN}])|(?P<stars>{_STARS})",
    re.IGNORECASE,
)
_UNIT = r"(?:\s?(?:points?|pts?\.?|marks?|stars?|分(?![之析别钟类为子布明辨享])|颗?星))"

_OF = re.compile(
    rf"{_UNIT}?[\s,]{{0,2}}[(\[]?\s*(?:/|÷|out\s+of(?:\s+(?:a\s+)?(?:possible|maximum|max|total)(?:\s+of)?)?"
    r"|of(?:\s+a\s+(?:possible|maximum|total)(?:\s+of)?)?|from(?:\s+a\s+(?:possible|maximum))?"
    r"|(?:the\s+)?max(?:imum)?\.?(?:\s+(?:score|is|of))?\s*[:=]?|(?:on|in)\s+(?:a|the)\s+scale\s+of"
    r"|on\s+(?:a|the)"
    r"|scale\s*(?:of|:)|(?:满分|总分)\s*(?:为|是|:)?)\s*",
    re.IGNORECASE,
)
_ON_SCALE = re.compile(
    rf"{_UNIT}?[\s,]{{0,2}}[(\[]?\s*(?:(?:on|in|using)\s+(?:a|the)\s+(?:scale\s*(?:of|from)?)?|from"
    r"|scale\s*:?\s*(?:of|from)?)\s*",
    re.IGNORECASE,
)
_OF_HAN = re.compile(rf"{_UNIT}?\s*(?:中|里|当中|之中)的?\s*")
_PARTS = re.compile(r"\s*分之\s*")
_TO = re.compile(r"\s*(?:[-~–—−〜]|to|至|到)\s*", re.IGNORECASE)
_RANGE = re.compile(
    rf"{_UNIT}?(?:\s*(?:[-~–—−〜,|;&、/]|\.{{2,}}|…|[-=]?>|→|(?:,\s*)?\b(?:to|or|and|through|versus"
    r"|vs\.?)\b|至|到|或者?|和)\s*|[ \t]+)"
    r"(?:(?:maybe|perhaps|possibly|even|an?|也许|可能)\s+){0,2}",
    re.IGNORECASE,
)
_SUM = re.compile(
    rf"{_UNIT}?\s*,?\s*(?P<sign>[-–—−+*×x÷]|\bminus\b|\bplus\b|\bless\b|减去?|加上?)\s*", re.IGNORECASE
)
_EQUALS = re.compile(rf"{_UNIT}?\s*(?:=|equals|等于)\s*")
_COMMA = re.compile(r",")
_CLOSED = re.compile(rf"{_UNIT}?(?:[ \t]*[-–]?[ \t]?(?:point|star)[ \t]+scale|[ \t]*分?制)?(?:[ \t]*[)\]])?")

_BOUND_BEFORE = re.compile(
    r"(?:[<>≤≥＜＞]=?|\b(?:under|below|above|over|beneath|at\s+(?:least|most)|(?:more|less|fewer|higher"
    r"|lower|greater|better|worse)"
    r"\s+than|up\s+to|nearly|almost|not\s+quite|close\s+to|towards?|between|no\s+more\s+than)|不到|不足"
    r"|不满|低于|高于|超过|至少|最多|至多|最少|大于"
    r"|小于|接近|不低于|不高于|将近|逼近|介于)\s*(?:an?\s+|a\s+score\s+of\s+)?$",
    re.IGNORECASE,
)
_BOUND_AFTER = re.compile(
    r"\s*(?:分|points?)?\s*(?:以上|以下|以内|之上|之下|(?:or|and)\s+(?:more|less|above|below|higher"
    r"|lower|better|worse|under|over)\b"
    r"|\+(?!\s*\d)|-(?=\s*(?:$|[.,;)\n]))|[多余几]分)",
    re.IGNORECASE,
)
_NOT_BEFORE = re.compile(
    r"(?:\b(?:not|isn't|never|nor|neither|than|without|instead\s+of|n't)|不是|并非|而非|不算|不值|没有|够不上|称不上|[不非未])"
    r"\s*(?:(?:really|quite|exactly|even|yet|just|only)\s+)?(?:an?\s+)?$",
    re.IGNORECASE,
)
_SCALE_SYSTEM = re.compile(r"\s*(?:[-–]?\s?(?:point|star)s?\s+scale|[分星]?制)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it stands in a text from ``begin`` to ``end``.

    ``of`` is the end of the scale that it names (a percentage is out of 100), ``low`` its beginning.  ``bad``
    says why it is no one number (of a range, ``low`` and ``of`` are the ends).  ``unit`` says that it is
    called points or stars, ``stars`` that it is called stars, ``summed`` that it is the result of a sum,
    ``spelled`` that it is written in words.
    """

    begin: int
    end: int
    value: Fraction = Fraction(0)
    of: Fraction | None = None
    low: Fraction | None = None
    bad: str | None = None
    percent: bool = False
    unit: bool = False
    summed: bool = False
    spelled: bool = False
    stars: bool = False

    def on(self, scale: Scale) -> Fraction | Unparsed:
        """Return the number on a scale, or why it cannot be had; it need not lie on the scale."""
        if self.bad is not None:
            return Unparsed(self.bad)
        if self.percent:
            if scale.low != 0:
                return Unparsed("a percentage of a scale that does not begin at 0")
            return self.value / 100 * Fraction(repr(float(scale.high)))
        if self.of is None:
            lost = self.stars and scale.high != _STARS_END
            return Unparsed("stars, of an unknown number") if lost else self.value
        if self.low is not None and self.low != Fraction(repr(float(scale.low))):
            return Unparsed(f"on a scale from {float(self.low):g}, but the scale begins at {scale.low:g}")
        return from_share(self.value, self.of, scale)


def quantities(text: str) -> list[Quantity]:
    """Return the quantities of a text in order."""
    atoms = [atom for match in _ATOM.finditer(text) if (atom := _atom(match, text)) is not None]
    found, k = [], 0
    while k < len(atoms):
        quantity, k = _group(text, atoms, k)
        found.append(_judged(text, quantity))
    return found


def mark(text: str) -> tuple[str, list[Quantity]]:
    """Return a text with :data:`MARK` for each quantity, and the quantities."""
    found = quantities(text)
    pieces, place = [], 0
    for quantity in found:
        pieces += [text[place : quantity.begin], MARK]
        place = quantity.end
    return "".join([*pieces, text[place:]]), found


def single(text: str) -> Quantity | None:
    """Return the quantity that a text is, with nothing but a unit beside it."""
    marked, found = mark(text.strip())
    return found[0] if len(found) == 1 and re.fullmatch(rf"{MARK}{_UNIT}?\.?", marked) else None


def _atom(match: re.Match[str], text: str) -> Quantity | None:
    begin, end = match.span()
    if match["digits"]:
        return Quantity(begin, end, Fraction(match["digits"]))
    if match["stars"]:
        full = sum(sign in "★⭐🌟✭" for sign in match["stars"])
        of = Fraction(len(match["stars"])) if full < len(match["stars"]) else None
        return Quantity(begin, end, Fraction(full), of, unit=True, stars=True)
    if match["word"]:
        return Quantity(begin, end, _english(match["word"].lower()), spelled=True)
    value = _han(match["han"])
    # 十分 is also "very", 一 is in a thousand words: only beside a unit or a sign, or as a part of a hundred.
    if not re.match(
        r"\s*(?:分(?![析别钟类子布明辨享])|[星制成]|颗星|$|[)\],.;!?。\s]|[-~至到/]\s*[\d" + _HAN + "])",
        text[end : end + 8],
    ):
        return None
    if value is None:
        return Quantity(begin, end, bad=MANY, spelled=True)
    return Quantity(begin, end, value, spelled=True)


def _english(words: str) -> Fraction:
    value = Fraction(0)
    for word in re.split(r"[-\s]+", words.replace("and a half", "half").partition(" point ")[0]):
        if word in _TENS:
            value += 20 + 10 * _TENS.index(word)
        elif word == "hundred":
            value = Fraction(100)
        elif word == "half":
            value += Fraction(1, 2)
        elif word in _ONES:
            value += _ONES.index(word)
    tail = words.partition(" point ")[2].strip()
    return value + Fraction(_ONES.index(tail), 10) if tail else value


def _han(text: str) -> Fraction | None:
    """Return the number that Chinese numerals say; None for two beside each other (七八: seven or eight)."""
    whole, _, decimals = text.partition("点")
    digits = {sign: k for k, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
    match = re.fullmatch(
        r"(?:(?P<h>[一二两三四五六七八九]?)百)?零?(?:(?P<t>[一二三四五六七八九]?)十)?(?P<o>[零〇一二两三四五六七八九]?)",
        whole,
    )
    if match is None:
        return None
    value = Fraction(digits.get(match["o"], 0))
    value += 10 * (digits.get(match["t"], 1) if match["t"] is not None else 0)
    value += 100 * (digits.get(match["h"], 1) if match["h"] is not None else 0)
    return value + sum(
        (Fraction(digits[sign], 10 ** (k + 1)) for k, sign in enumerate(decimals)), Fraction(0)
    )


def _group(text: str, atoms: list[Quantity], k: int) -> tuple[Quantity, int]:
    """Return the quantity that begins with an atom, and the number of the next atom."""
    now = atoms[k]
    if (percent := re.match(r"\s*(?:%|percent\b|per\s+cent\b)", text[now.end : now.end + 12])) is not None:
        now, k = replace(now, end=now.end + percent.end(), percent=True), k + 1
        return _more(text, atoms, now, k)
    if k + 1 < len(atoms) and (mixed := _mixed(text, atoms, k)) is not None:
        now, k = mixed, k + (2 if text[atoms[k].end : atoms[k + 1].begin] == "," else 3) - 1
    if k + 1 == len(atoms):
        return _unit(text, now), k + 1
    other, gap = atoms[k + 1], text[now.end : atoms[k + 1].begin]
    if len(gap) > 40 or "\n" in gap:
        return _unit(text, now), k + 1
    scale = _scale_after(text, atoms, now, k, gap)
    if scale is not None:
        return scale
    if _PARTS.fullmatch(gap):
        if now.value == 100:
            return replace(other, begin=now.begin, percent=True), k + 2
        return replace(other, begin=now.begin, of=now.value), k + 2
    if _OF_HAN.fullmatch(gap):
        return _unit(text, replace(other, begin=now.begin, of=now.value)), k + 2
    if _SUM.fullmatch(gap):
        return _sum(text, atoms, k)
    return _more(text, atoms, now, k + 1)


def _mixed(text: str, atoms: list[Quantity], k: int) -> Quantity | None:
    """Return a decimal with a comma (8,5) or a mixed number (8 1/2) that begins with an atom."""
    now, other = atoms[k], atoms[k + 1]
    gap = text[now.end : other.begin]
    digits = text[other.begin : other.end]
    follows = k + 2 < len(atoms) and len(text[other.end : atoms[k + 2].begin]) < 2
    if _COMMA.fullmatch(gap) and re.fullmatch(r"\d{1,2}", digits) and now.value.denominator == 1:
        third = text[other.end : other.end + 2]
        if now.spelled or re.match(r",\d", third):
            return None
        return Quantity(now.begin, other.end, now.value + other.value / 10 ** len(digits))
    if gap == " " and follows and text[other.end : atoms[k + 2].begin] == "/":
        under = atoms[k + 2]
        if now.value.denominator == 1 and (other.value, under.value) in _HALVES:
            return Quantity(now.begin, under.end, now.value + other.value / under.value)
    return None


_HALVES = {(Fraction(a), Fraction(b)) for a, b in ((1, 2), (1, 4), (3, 4), (1, 3), (2, 3))}


def _scale_after(
    text: str, atoms: list[Quantity], now: Quantity, k: int, gap: str
) -> tuple[Quantity, int] | None:
    """Return "8 out of 10", "8 on a scale from 0 to 10", "8 (1-10)", or None."""
    if k + 2 < len(atoms) and (_ON_SCALE.fullmatch(gap) or re.fullmatch(r"\s*[(\[]\s*", gap)):
        low, high = atoms[k + 1], atoms[k + 2]
        if _TO.fullmatch(text[low.end : high.begin]):
            end = _CLOSED.match(text, high.end)
            return replace(now, end=end.end() if end else high.end, of=high.value, low=low.value), k + 3
    tail = text[atoms[k + 1].end : atoms[k + 1].end + 14]
    named = re.fullmatch(rf"{_UNIT}?\s*,?\s*[(\[]?\s*", gap) and _SCALE_SYSTEM.match(tail)
    if named or _OF.fullmatch(gap):
        end = _CLOSED.match(text, atoms[k + 1].end)
        place = end.end() if end else atoms[k + 1].end
        whole = replace(now, end=place, of=atoms[k + 1].value)
        return _more(text, atoms, whole, k + 2)
    return None


def _unit(text: str, quantity: Quantity) -> Quantity:
    if re.match(rf"{_UNIT}半", text[quantity.end : quantity.end + 4]):
        half = replace(
            quantity, value=quantity.value + Fraction(1, 2), end=text.index("半", quantity.end) + 1
        )
        return replace(half, unit=True)
    named = re.match(_UNIT, text[quantity.end : quantity.end + 10], re.IGNORECASE)
    if named is None:
        return quantity
    return replace(
        quantity, unit=True, stars=quantity.stars or re.search("star|星", named[0], re.IGNORECASE) is not None
    )


def _more(text: str, atoms: list[Quantity], now: Quantity, k: int) -> tuple[Quantity, int]:
    """Return the quantity, or a range or list of it and those that follow at once."""
    many = False
    while k < len(atoms):
        gap = text[now.end : atoms[k].begin]
        if len(gap) > 20 or "\n" in gap or not (_RANGE.fullmatch(gap) or (many and _OF.fullmatch(gap))):
            break
        if not many:
            now = replace(now, low=now.value, of=atoms[k].value)
        many, now, k = True, replace(now, end=atoms[k].end, bad=MANY), k + 1
    return (now if many else _unit(text, now)), k


def _sum(text: str, atoms: list[Quantity], k: int) -> tuple[Quantity, int]:
    """Return the result of a sum that is said and right, or said in words; all others are no number."""
    now, value, words, dashes, begin = atoms[k], atoms[k].value, True, True, k
    k += 1
    while k < len(atoms) and (sign := _SUM.fullmatch(text[now.end : atoms[k].begin])) is not None:
        if "\n" in sign[0]:
            break
        named = sign["sign"].lower()
        words &= named in ("minus", "plus", "less") or named[0] in "减加"
        dashes &= named in "-–—−"
        number = atoms[k].value
        if named in ("*", "×", "x"):
            value *= number
        elif named == "÷":
            value = value / number if number else value
        else:
            value += number if named in ("+", "plus") or named[0] == "加" else -number
        now, k = replace(now, end=atoms[k].end), k + 1
    if k < len(atoms) and _EQUALS.fullmatch(text[now.end : atoms[k].begin]):
        right = atoms[k].value == value
        total = replace(now, end=atoms[k].end, value=value, bad=None if right else "a sum that is wrong")
        return _unit(text, replace(total, summed=True)), k + 1
    if words:
        return replace(now, value=value, summed=True), k
    low, of = (atoms[begin].value, atoms[k - 1].value) if dashes and k - begin == 2 else (None, None)
    return replace(now, bad=MANY if dashes else "a sum, not a number", low=low, of=of), k


def _judged(text: str, quantity: Quantity) -> Quantity:
    """Return a quantity with what stands around it: a bound, a negation."""
    before = text[max(quantity.begin - 40, 0) : quantity.begin]
    if _BOUND_BEFORE.search(before) or _BOUND_AFTER.match(text, quantity.end):
        return replace(quantity, bad=BOUND)
    if _NOT_BEFORE.search(before):
        return replace(quantity, bad=NEGATED)
    return quantity
