"""Indicators that need the text alone, in any script."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

from assay.core import Sample
from assay.data import language_of, words
from assay.indicators._diversity import hdd, mtld
from assay.indicators._indicator import Indicator, Undefined, Value

_REFUSAL = re.compile(
    r"\b(as an? (ai|artificial intelligence|(large )?language model)"
    r"|i('m| am) (sorry|unable|not able)|i (cannot|can't|can not) (help|assist|answer|provide|fulfil|do that)"
    r"|sorry,? (but )?i (cannot|can't|am unable))\b"
    r"|作为(一个|一名)?(大型)?(人工智能|语言模型|ai)|(我|无法|不能)[^。！？]{0,8}(无法|不能)?(回答|提供帮助|满足您的请求|完成这个请求)"
    r"|(很)?抱歉[，,]|对不起[，,]",
    re.IGNORECASE,
)
_REFUSAL_REACH = 160
_STOCK = re.compile(
    r"(?m)^\s*(sure|certainly|of course|absolutely|great question)[,!.]?( here('s| is| are)[^:\n]{0,60}:)?"
    r"|^\s*(here('s| is| are) (a|an|the|some|your)[^:\n]{0,60}:|thank you for (your|the) question[^.!\n]*.)"
    r"|(i hope (this|that) helps|let me know if you (have|need|would like)[^.!\n]*|feel free to ask[^.!\n]*)"
    r"[.!]?"
    r"|^\s*(当然(可以)?|好的|没问题|非常好的问题)[，,。！!]|^\s*(以下|下面)是[^：:\n]{0,30}[：:]"
    r"|希望(这|以上|我的回答)[^。！\n]{0,12}(帮助|有用)[。！]?|如(果|有)[^。！\n]{0,20}(请随时|欢迎)[^。！\n]*[。！]?",
    re.IGNORECASE,
)
_HAN, _LATIN = re.compile("[\u3400-\u9fff]"), re.compile("[A-Za-z]{2}")
_ENDS = tuple(".!?…。！？\"'”’」』)）]】}`>*:：;；~")
_GARBLED = re.compile("[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f]|Ã[\x80-\xbf¤©¨]|â€[œ\x9d™“”]|锟斤拷|烫烫")
_MARKS = re.compile(r"[\ufffd#@%&*~^|\\Ã¤â€œ]{3,}")
_MIXED = 3
_FENCED = re.compile(r"```.*?```", re.DOTALL)
_LIST_MARK = re.compile(r"(?m)^\s*\w{1,3}[)）]")
_BRACKETS = ("()", "[]", "{}", "（）", "【】", "「」", "《》")
_LEAST_WORDS = 12
_REPEATED = 4


def _prompt(sample: Sample) -> str:
    return "\n".join(m.content for m in sample.prompt)


def _each(measure: Callable[[Sample, str], Value]) -> Callable[[Sequence[Sample]], list[Value]]:
    """Return a measure of batches from one of a sample and its answer; no answer, no value."""

    def batch(samples: Sequence[Sample]) -> list[Value]:
        return [
            Undefined("no answer") if s.answer is None or not s.answer.strip() else measure(s, s.answer)
            for s in samples
        ]

    return batch


@lru_cache(maxsize=4096)
def _lowered(text: str) -> tuple[str, ...]:
    """Return the words in lower case; kept for the other indicators of the same batch."""
    return tuple(map(str.lower, words(text)))


def _length_in(samples: Sequence[Sample]) -> list[Value]:
    return [float(len(_lowered(_prompt(s)))) for s in samples]


def _length_out(_: Sample, answer: str) -> Value:
    return float(len(_lowered(answer)))


def _mtld(_: Sample, answer: str) -> Value:
    return mtld(_lowered(answer))


def _hdd(_: Sample, answer: str) -> Value:
    return hdd(_lowered(answer))


def _compression(_: Sample, answer: str) -> Value:
    raw = answer.encode("utf-8", "surrogatepass")
    return len(raw) / len(zlib.compress(raw, 6))


def _language_match(sample: Sample, answer: str) -> Value:
    if sample.type == "translation":
        return Undefined("a translation answers in another language")
    asked, given = language_of(_prompt(sample)), language_of(answer)
    if asked is not None and given is not None:
        return float(asked == given)
    # Texts too short for a language still have a script; a prompt of both says nothing of the answer's.
    scripts = [(bool(_HAN.search(text)), bool(_LATIN.search(text))) for text in (_prompt(sample), answer)]
    if any(han == latin for han, latin in scripts):
        return Undefined("the language cannot be told")
    return float(scripts[0] == scripts[1])


def _refusal(_: Sample, answer: str) -> Value:
    return float(bool(_REFUSAL.search(answer[:_REFUSAL_REACH])))


def _boilerplate(_: Sample, answer: str) -> Value:
    """Return the share of characters in stock phrases that open or close an answer and say nothing."""
    places: set[int] = set()
    for match in _STOCK.finditer(answer):
        places.update(range(*match.span()))
    return len(places) / len(answer)


def _complete(_: Sample, answer: str) -> Value:
    """Whether a text of several words ends as texts end; a bare word or number is an answer of its own."""
    text = answer.rstrip()
    if len(_lowered(answer)) < _LEAST_WORDS:
        return Undefined("too short to tell")
    return float(text.endswith(_ENDS) or text[-1].isdigit())


def _balanced(_: Sample, answer: str) -> Value:
    """Whether code fences and brackets are closed; list marks such as "a)" are no brackets."""
    if answer.count("```") % 2:
        return 0.0
    plain = _LIST_MARK.sub("", _FENCED.sub("", answer))
    return float(all(plain.count(pair[0]) == plain.count(pair[1]) for pair in _BRACKETS))


def _repetition(_: Sample, answer: str) -> Value:
    """Return the share of four-word runs that were there before (Rae et al. 2021, appendix A)."""
    found = _lowered(answer)
    grams = Counter(zip(*(found[i:] for i in range(_REPEATED)), strict=False))
    total = sum(grams.values())
    return (total - len(grams)) / total if total else Undefined("fewer than four words")


def _overlap(sample: Sample, answer: str) -> Value:
    """Return the share of the answer's distinct words that the prompt has too."""
    said = set(_lowered(answer))
    if not said:
        return Undefined("no words")
    return len(said & set(_lowered(_prompt(sample)))) / len(said)


def _garbled(_: Sample, answer: str) -> Value:
    """Return the share of characters that a wrong encoding leaves behind."""
    places: set[int] = set()
    for match in _GARBLED.finditer(answer):
        places.update(range(*match.span()))
    # A run of marks of three kinds or more is no Markdown and no formula.
    for match in _MARKS.finditer(answer):
        if len(set(match.group())) >= _MIXED:
            places.update(range(*match.span()))
    return len(places) / len(answer)


_OWN = "this project"
TEXT_INDICATORS: tuple[Indicator, ...] = (
    Indicator("len_in", 1, "words", 0, (), "INSTRUCTMINING, table 1 (in words, Han segmented)", _length_in),
    Indicator(
        "len_out", 1, "words", 1, (), "INSTRUCTMINING, table 1 (in words, Han segmented)", _each(_length_out)
    ),
    Indicator("mtld", 1, "words", 1, (), "McCarthy & Jarvis 2010", _each(_mtld)),
    Indicator("hdd", 1, "share", 1, (), "McCarthy & Jarvis 2007", _each(_hdd)),
    Indicator("compression", 1, "ratio", 0, (), "Shaib et al. 2024 (2403.00553)", _each(_compression)),
    Indicator("language_match", 2, "0 or 1", 1, (), _OWN, _each(_language_match)),
    Indicator("refusal", 1, "0 or 1", -1, (), _OWN, _each(_refusal)),
    Indicator("boilerplate", 1, "share", -1, (), _OWN, _each(_boilerplate)),
    Indicator("complete", 1, "0 or 1", 1, (), _OWN, _each(_complete)),
    Indicator("balanced", 1, "0 or 1", 1, (), _OWN, _each(_balanced)),
    Indicator(
        "repetition", 1, "share", -1, (), "Rae et al. 2021 (2112.11446), appendix A", _each(_repetition)
    ),
    Indicator("overlap", 1, "share", 0, (), _OWN, _each(_overlap)),
    Indicator("garbled", 1, "share", -1, (), _OWN, _each(_garbled)),
)
"""Indicators of the text alone."""
