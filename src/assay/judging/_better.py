"""Replies of judges to which of two answers is better: the known forms are read, nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from assay.judging._claims import Rank, leftover, objects_before
from assay.judging._reply import (
    OBJECT,
    QUOTED,
    Pairs,
    is_object,
    not_said,
    pairs_of,
    parts,
    plain,
    unquoted,
    value_of,
)
from assay.judging._scale import Unparsed
from assay.judging._words import EXAMPLE, NEAR, REACH

Better: TypeAlias = Literal["A", "B", "tie"]

FIRST, SECOND = "\ue001", "\ue002"
"""Stand in a text for the answers, however they are called."""

_KEYS = frozenset(
    "better winner preference preferred choice verdict best better_answer better_response final_verdict "
    "更好 胜者 结论 更好的回答".split()
)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is said of which answer is better, and how much it counts."""

    rank: Rank
    better: Better | None


_NOUN = r"(?:answer|response|reply|assistant|model|option|candidate|solution|output|text|version|system)"
_HAN_NOUN = r"(?:回答|答案|回复|助手|模型|选项|方案|文本)"
_NAMES = tuple(
    re.compile(
        rf"(?:\b(?:the\s+)?{_NOUN}[\s_]*(?:#\s?)?(?:{letter}|{number})\b(?!\s*[.\d]\d)"
        rf"|\b(?:the\s+)?{ordinal}\s+(?:{_NOUN}|one)\b|\bthe\s+{past}\b"
        rf"|{_HAN_NOUN}\s*(?:{letter}|{number}|{han})(?![\d一二])|第{han}[个份条]?(?:{_HAN_NOUN}|更|胜"
        rf"|较|好)?(?<![更胜较好])|{side})",
        re.IGNORECASE,
    )
    for letter, number, ordinal, past, han, side in (
        ("A", "1", "(?:first|1st)", "former", "一", "前者"),
        ("B", "2", "(?:second|2nd)", "latter", "二", "后者"),
    )
)
_BARE = re.compile(
    r"(?<![A-Za-z\d_'-])(?P<letter>[AB])(?![A-Za-z\d_'-]|[.)](?=\s*[A-Za-z]))(?!\s+[a-z]+\s+(?:answer"
    r"|response|reply)\b)"
)
_EITHER = f"[{FIRST}{SECOND}]"
_X = rf"(?P<x>{_EITHER})"
_Y = rf"{_EITHER}"
_VERY = (
    r"(?:(?:clearly|much|slightly|a\s+(?:bit|little)|far|significantly|marginally|somewhat|overall|still|the|a|also"
    r"|definitely|simply|barely|just|considerably|noticeably|arguably|decidedly|by\s+far)\s+){0,4}"
)
_IS = r"(?:is|was|seems|appears|looks|remains|feels|comes\s+out(?:\s+as)?|stands\s+out\s+as)"
_BETTER = r"(?:better|superior|stronger|preferable|preferred|best|winner|the\s+winner|favou?red)"
_WORSE = r"(?:worse|inferior|weaker|worst|loser)"
_TAIL = rf"(?:\s+(?:answer|response|reply|one|choice|option))?(?:\s+(?:than|over|to|of\s+the\s+two)\s*{_Y}?)?"
_WIN = (
    rf"{_X}\s+{_IS}\s+{_VERY}{_BETTER}{_TAIL}",
    rf"{_X}\s+(?:{_VERY})?(?:wins|beats|outperforms|outdoes|surpasses|edges\s+out|prevails"
    rf"|takes\s+it)(?:\s+{_Y})?",
    rf"{_X}\s*(?:>>?|»|≻|优于|好于|强于|胜过|胜于|超过)\s*{_Y}",
    rf"{_Y}\s*(?:<<?|«|≺|不如|差于|劣于|逊于|弱于|比不上)\s*{_X}",
    rf"{_Y}\s+{_IS}\s+{_VERY}{_WORSE}\s+(?:than|to)\s*{_X}",
    r"\b(?:I|we)(?:'d|'ll)?\s+(?:would\s+|will\s+|must\s+|clearly\s+|strongly\s+"
    rf"|slightly\s+){{0,2}}(?:prefer|choose|pick|select|go\s+with|go\s+for|favou?r|vote\s+for"
    r"|lean\s+towards?|judge|declare|"
    rf"opt\s+for|side\s+with)\s+{_X}(?:\s+(?:over|to|as\s+(?:the\s+)?(?:better|best|winner)(?:\s+(?:one"
    rf"|answer|response))?)\s*{_Y}?)?",
    r"\b(?:choice|preference|verdict|vote|decision|winner|preferred|better|best|stronger"
    r"|superior)(?:\s+(?:answer|response|reply|one|assistant|option|choice))?\s*(?:goes\s+to|is|was|:|="
    rf"|-|–|—|->|→)\s*[\[(\s]*{_X}",
    r"(?:更好|更佳|更优|较好|胜者|胜出者?|获胜者?|结论|选择|裁决|判定|优胜者?|最佳|更好的(?:回答|答案"
    rf"|一个)?|较好的(?:回答|答案)?)\s*(?:的是|的|是|为|:|=|\s)*(?:是|为|:|=)\s*[\[(\s]*{_X}",
    rf"(?:我)?(?:选择?|更?倾向于?|更?偏好|支持|认为|更喜欢|投给?)\s*{_X}(?=\s*(?:$|[.,。!;]|更|胜|较))",
    rf"(?<!比)(?<!比\s){_X}\s*(?:明显|显然|略|稍|稍微|总体|整体|显著)?(?:更好|更佳|更优|更胜一筹|胜出"
    rf"|获胜|较好|较优|更强|最好|更符合(?:标准|要求))(?:一些|一点|于\s*{_Y})?",
    rf"{_X}\s*比\s*{_Y}\s*(?:明显|略|稍|稍微|要)?(?:更?好|更?佳|更?优|更?强|更符合(?:标准|要求))(?:一些|一点|得多)?",
)
_WINS = tuple(re.compile(pattern, re.IGNORECASE) for pattern in _WIN)
_LOSES = (
    re.compile(
        rf"{_X}\s+{_IS}\s+{_VERY}{_WORSE}(?:\s+(?:one|answer|response|of\s+the\s+two))?(?!\s*(?:than"
        rf"|to)\s*{_Y})",
        re.IGNORECASE,
    ),
    re.compile(rf"(?<!比)(?<!比\s){_X}\s*(?:明显|略|稍)?(?:更差|较差|落败|落后)", re.IGNORECASE),
    re.compile(rf"{_X}\s*比\s*{_Y}\s*(?:明显|略|稍|要)?(?:更?差|更?弱)", re.IGNORECASE),
)
_TIE = re.compile(
    r"\b(?:it(?:'s|\s+is)\s+)?(?:a\s+)?(?:tie|draw)\b|\b(?:verdict|winner|better|choice"
    r"|preference)\s*(?:is|:|=)\s*(?P<word>tie|draw|equal|both|neither)\b"
    r"|\bequally\s+(?:good|bad|strong|weak|correct|wrong|helpful)\b|\bno\s+(?:clear\s+)?(?:winner"
    r"|difference)\b|\bneither\s+(?:(?:answer|response|one)\s+)?is\s+better\b"
    rf"|平局|一样好|一样差|同样好|同样差|不相上下|不分上下|难分(?:高下|伯仲|胜负)|打平|平手|没有差别|相当$|两者相同|{_EITHER}\s*(?:=+|≈|~)\s*{_EITHER}",
    re.IGNORECASE,
)
_FORMAL = re.compile(
    rf"\[\[\s*(?:(?P<x>{_EITHER}|[ABC])|(?P<left>{_EITHER})\s*(?P<sign>>{{1,3}}|<{{1,3}}|=+|≈"
    rf"|~)\s*{_EITHER}|(?P<tie>tie|draw|equal|both|neither|平局|平|一样))\s*\]\]",
    re.IGNORECASE,
)

_FOREIGN = re.compile(
    rf"{QUOTED}|\b(?:says|said|claims?|claimed|states|wrote|writes|ends|examples?|e\.g|instance|suppose"
    r"|imagine|reference|previous(?:ly)?|earlier|initial(?:ly)?"
    r"|originally|at\s+first|first\s+glance|expected|human|users?|some|others?|one\s+(?:might|could)"
    r"|prompt|instructions?|ignore|format|thought|people|many|most)\b"
    r"|示例|例如|比如|参考|此前|之前|原本|最初|起初|乍看|声称|写着?道?|要求|有人|人们|用户",
    re.IGNORECASE,
)
_NOT_SO = re.compile(
    r"\b(?:if|unless|whether|could|might|may|cannot|can't|won't|don't|doesn't|isn't|wasn't|aren't|didn't"
    r"|wouldn't|not|never|neither|nor|refuse|unable|hardly|had|were|when"
    r"|until|almost|unclear|unsure|hard\s+to)\b|如果|假如|要是|除非|本可|可能|不会|不能|无法|难以|几乎|并不?|并非|不是|没有|未|是否|不认为|若|不",
    re.IGNORECASE,
)
_ASPECT_AFTER = re.compile(
    r"\s*(?:in|at|on|for|regarding|concerning|when|if|as\s+(?:to|far|a)|from)\s+(?!(?:my|its|the\s+end"
    r"|general|summary|this\s+case|every|all|both)\b)|\s*[,(]?\s*(?:if|unless|except|though|but|only)\b"
    r"|\s*\?",
    re.IGNORECASE,
)
_ASPECT_BEFORE = re.compile(
    r"\b(?:in\s+terms\s+of|regarding|concerning|with\s+respect\s+to|as\s+for|on\s+(?!balance"
    r"|the\s+whole)|for\s+(?!this|these|all)|style|tone|clarity|accuracy|fluency|facts|length|format)\b"
    r"|方面|上\s*[,，]|而言|就.{1,8}来说",
    re.IGNORECASE,
)
_SPEAKS = re.compile(
    r"\b(?:according\s+to|says|said|claims|claimed|writes|states)\b|声称|写道|说", re.IGNORECASE
)
_BOTH = re.compile(
    rf"\b(?:both|two|answers?|responses?|replies|are|there|they|quality|in)\b|两[个者份]?|双方|都|、|{_EITHER}",
    re.IGNORECASE,
)
_BUT_AFTER = re.compile(
    r"\s*[,;(]?\s*(?:but|though|although|however|yet|except)\b|\s*[,;]?\s*(?:但|不过|然而|尽管)",
    re.IGNORECASE,
)
_FINE_AFTER = re.compile(
    r"\s*(?:$|[.;!)\]】。\"']|,\s*(?:because|since|as|which|due|so|given|with|and|not)\b|because|since|as\b|due|given|overall|by\s+far"
    r"|in\s+(?:every|all|general|my|the\s+end|total)|on\s+balance|[—–-]\s|\((?!\s*if)|[,;]?\s*(?:因为|由于|因此|所以|理由|其))",
    re.IGNORECASE,
)
_OVERALL = re.compile(
    r"\b(?:overall|final(?:ly)?|in\s+(?:conclusion|summary|total|the\s+end)|to\s+(?:conclude|sum\s+up)"
    r"|on\s+balance|all\s+in\s+all|all\s+things\s+considered|therefore|thus|so)\b"
    r"|总体|综合|最终|最后|综上|因此|所以|总的来[说看]",
    re.IGNORECASE,
)
_TURN = re.compile(
    r"\b(?:no|wait|actually|correction|rather|on\s+second\s+thought|scratch\s+that|sorry)\b|更正|不对|改为|改选|重新考虑",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?;])(?=\s)|(?<=[.!?][\"')\]])(?=\s)|(?<=[。!?;])|\n")


def parse_better(text: str) -> Better | Unparsed:
    """Return which of two answers a reply prefers.

    Read are JSON, ``[[A]]`` (``[[C]]`` is a tie), ``[[A>B]]``, ``Better: A``, "Answer B is better", "I prefer
    the first answer", ``更好：B``, ``回答A优于回答B``, ties in words, and a letter alone.  What is said of
    one aspect, in quotes, under a condition or negated says nothing; an overall or corrected choice takes the
    place of earlier ones.
    """
    flat = plain(text)
    whole = parts(flat)
    found = list(_objects(whole.text, whole.objects))
    body = _named(unquoted(whole.text.replace(OBJECT, "\n")))
    lone = re.fullmatch(
        rf"[^\w{FIRST}{SECOND}]*(?:(?P<x>{_EITHER})|(?P<tie>tie|draw|equal|both|neither|平局|平|一样"
        r"|相同))[\s.!。)\]]*",
        body,
        re.IGNORECASE,
    )
    if lone is not None and not re.search(r"[\w?]", body.replace(lone["x"] or lone["tie"], "")):
        found.append(Choice(Rank.PLAIN, _letter(lone["x"]) if lone["x"] else "tie"))
    else:
        found += [choice for sentence in _SENTENCE_END.split(body) if sentence for choice in _said(sentence)]
        found += _first_line(body)
    return _agreed(found)


def _agreed(found: list[Choice]) -> Better | Unparsed:
    counted = [choice for choice in found if choice.rank > Rank.ASPECT]
    if not any(choice.rank > Rank.WEAK for choice in counted):
        return Unparsed("a choice for single aspects only") if found else not_said("choice")
    turns = [k for k, choice in enumerate(counted) if choice.rank is Rank.CORRECTED]
    finals = [k for k, choice in enumerate(counted) if choice.rank is Rank.FINAL]
    if turns or finals:
        since = turns[-1] if turns else finals[0]
        counted = [c for k, c in enumerate(counted) if k >= since or c.rank is Rank.FORMAL]
    said = {choice.better for choice in counted}
    if None in said:
        return Unparsed("the choice is none of A, B, tie")
    better = said.pop()
    return Unparsed("contradictory choices") if said or better is None else better


def _letter(sign: str) -> Better:
    return "A" if sign in (FIRST, "A", "a") else "B"


def _other(sign: str) -> Better:
    return "B" if _letter(sign) == "A" else "A"


def _named(text: str) -> str:
    """Return a text in which one sign each stands for the answers, however they are called."""
    for sign, names in zip((FIRST, SECOND), _NAMES, strict=True):
        text = names.sub(f" {sign} ", text)
    return _BARE.sub(lambda found: FIRST if found["letter"] == "A" else SECOND, text)


def _said(sentence: str) -> Iterator[Choice]:
    """Yield what one sentence says, in the order in which it says it."""
    found: dict[int, Choice] = {}
    for match in _FORMAL.finditer(sentence):
        if EXAMPLE.search(sentence[max(match.start() - NEAR, 0) : match.start()]) is None:
            found[match.start()] = Choice(Rank.FORMAL, _formal(match))
    for patterns, of in ((_WINS, _letter), (_LOSES, _other)):
        for pattern in patterns:
            for match in pattern.finditer(sentence):
                rank = _rank(sentence, match)
                if rank is not None:
                    found[match.start()] = Choice(rank, of(match["x"]))
    for match in _TIE.finditer(sentence):
        rank = _rank(sentence, match, tie=True)
        if rank is not None and not any(choice.rank is Rank.FORMAL for choice in found.values()):
            found[match.start()] = Choice(rank, "tie")
    yield from (found[place] for place in sorted(found))


def _formal(match: re.Match[str]) -> Better | None:
    if match["tie"] is not None:
        return "tie"
    if match["x"] is not None:
        return "tie" if match["x"] in "Cc" else _letter(match["x"])
    if match["sign"][0] in "=≈~":
        return "tie"
    return _letter(match["left"]) if match["sign"][0] == ">" else _other(match["left"])


def _rank(sentence: str, match: re.Match[str], *, tie: bool = False) -> Rank | None:
    """Return how a statement counts by the words around it; None for one that is not made."""
    before = sentence[max(match.start() - REACH, 0) : match.start()]
    after = sentence[match.end() : match.end() + REACH]
    local = re.split(r"[,;:]|\bbut\b|但|而(?!且)", before)[-1]
    inside = (
        match[0]
        .replace("neither", "")
        .replace("不如", "")
        .replace("不相上下", "")
        .replace("不分上下", "")
        .replace("没有差别", "")
    )
    inside = inside.replace("比不上", "")
    if _NOT_SO.search(local) or (not tie and _NOT_SO.search(inside)) or _FOREIGN.search(local):
        return None
    if re.search(r"\b(?:if|unless|whether|suppose)\b|如果|假如|要是|若", before) or re.match(
        r"\s*(?:would|could|might)\b", after
    ):
        return None
    remote = before[: len(before) - len(local)]
    if _SPEAKS.search(remote) or re.match(r"\s*(?:\?|吗|么|呢)", after):
        return None
    if _FOREIGN.search(remote) and not re.search(_EITHER, remote):
        return None
    if _BUT_AFTER.match(after) or leftover(_BOTH.sub(" ", _TURN.sub(" ", local))):
        return Rank.WEAK
    if not _FINE_AFTER.match(after):
        return Rank.ASPECT
    if _ASPECT_AFTER.match(after) or _ASPECT_BEFORE.search(local):
        return Rank.ASPECT
    if remote and _ASPECT_BEFORE.search(remote[-40:]) and not re.search(_EITHER, remote):
        return Rank.ASPECT
    if _TURN.search(before):
        return Rank.CORRECTED
    return Rank.FINAL if _OVERALL.search(before) else Rank.PLAIN


def _first_line(body: str) -> list[Choice]:
    """Return a letter that stands alone on the first line or the last, above or below an explanation."""
    rows = [line.strip() for line in body.splitlines() if line.strip()]
    found = []
    for row in dict.fromkeys((rows[:1] + rows[-1:]) if len(rows) > 1 else []):
        match = re.fullmatch(
            rf"[*_`\"'(\[\s]*(?:(?P<x>{_EITHER})|(?P<tie>tie|平局))[*_`\"')\]\s]*[.。]?", row, re.IGNORECASE
        )
        if match is not None:
            rank = Rank.PLAIN if row == rows[0] else Rank.WEAK
            found.append(Choice(rank, _letter(match["x"]) if match["x"] else "tie"))
    return found


def _objects(text: str, objects: tuple[Pairs, ...]) -> Iterator[Choice]:
    for before, pairs in zip(objects_before(text), objects, strict=True):
        if EXAMPLE.search(before[-NEAR:]) is None:
            yield from _entries(pairs)


def _entries(pairs: Pairs, depth: int = 0) -> Iterator[Choice]:
    entries = value_of(pairs, _KEYS)
    for _, value in entries:
        if is_object(value) and depth < 3:
            yield from _entries(pairs_of(value), depth + 1)
        else:
            yield Choice(Rank.FORMAL, _value(value))


def _value(value: Any) -> Better | None:
    """Return the choice that a value of an object names; None for any other."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    word = str(value).strip()
    if re.fullmatch(r"(?i)tie|draw|equal|both|neither|none|平局|平|一样|相同|c", word):
        return "tie"
    if re.fullmatch(r"[12]", word):
        return "A" if word == "1" else "B"
    named = _named(plain(word).upper() if len(word) == 1 else plain(word)).strip(" _\"'[]().")
    if named in (FIRST, SECOND):
        return _letter(named)
    match = _FORMAL.fullmatch(f"[[{named}]]")
    return _formal(match) if match is not None else None
