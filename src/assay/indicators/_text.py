"""Indicators that need the text alone, in any script."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache

from assay.core import Sample
from assay.data import languages_of, words
from assay.indicators._diversity import hdd, mtld
from assay.indicators._indicator import Indicator, Undefined, Value
from assay.indicators._phrases import Phrases

_REFUSAL = Phrases(
    (
        r"\b(as an? (ai|artificial intelligence|(large )?language model))\b",
        ("as a ai", "as an ai", "as a artificial", "as an artificial", "language model"),
    ),
    (r"\b(i('m| am) (sorry|unable|not able))\b", ("sorry", "unable", "not able")),
    (
        r"\b(i (cannot|can't|can not) (help|assist|answer|provide|fulfil|do that))\b",
        ("i cannot", "i can't", "i can not"),
    ),
    (r"\b(sorry,? (but )?i (cannot|can't|am unable))\b", ("sorry",)),
    (
        r"作为(一个|一名)?(大型)?(人工智能|语言模型|ai)"
        r"|(我|无法|不能)[^。！？]{0,8}(无法|不能)?(回答|提供帮助|满足您的请求|完成这个请求)",
        ("作为", "回答", "提供帮助", "请求"),
    ),
    (r"(很)?抱歉[，,]|对不起[，,]", ("抱歉", "对不起")),
)
_REFUSAL_REACH = 160
_STOCK = Phrases(
    (
        r"(?m:^)\s*(sure|certainly|of course|absolutely|great question)[,!.]?"
        r"( here('s| is| are)[^:\n]{0,60}:)?",
        ("sure", "certainly", "of course", "absolutely", "great question"),
    ),
    (
        r"(?m:^)\s*(here('s| is| are) (a|an|the|some|your)[^:\n]{0,60}:"
        r"|thank you for (your|the) question[^.!\n]*.)",
        ("here's a", "here's the", "here's some", "here's your", "here is a", "here is the", "here is some",
         "here is your", "here are", "thank you for"),
    ),
    (
        r"(i hope (this|that) helps|let me know if you (have|need|would like)[^.!\n]*"
        r"|feel free to ask[^.!\n]*)[.!]?",
        ("i hope th", "let me know", "feel free to ask"),
    ),
    (r"(?m:^)\s*(当然(可以)?|好的|没问题|非常好的问题)[，,。！!]", ("当然", "好的", "没问题")),
    (r"(?m:^)\s*(以下|下面)是[^：:\n]{0,30}[：:]", ("以下是", "下面是")),
    (r"希望(这|以上|我的回答)[^。！\n]{0,12}(帮助|有用)[。！]?", ("希望",)),
    (r"如(果|有)[^。！\n]{0,20}(请随时|欢迎)[^。！\n]*[。！]?", ("请随时", "欢迎")),
)  # fmt: skip
_HAN, _LATIN = re.compile("[\u3400-\u9fff]"), re.compile("[A-Za-z]{2}")
_ENDS = tuple(".!?…。！？\"'”’」』)）]】}`>*:：;；~")
_GARBLED = re.compile("[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f]|Ã[\x80-\xbf¤©¨]|â€[œ\x9d™“”]|锟斤拷|烫烫")
_ASCII_MARKS = re.compile(r"[#@%&*~^|\\]{3,}")
_MARKS = re.compile(r"[\ufffd#@%&*~^|\\Ã¤â€œ]{3,}")
_MIXED = 3
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
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


def _language_match(samples: Sequence[Sample]) -> list[Value]:
    texts = [text for s in samples for text in (_prompt(s), s.answer or "")]
    told = languages_of(texts)
    return [
        Undefined("no answer")
        if not (s.answer and s.answer.strip())
        else _matches(s, texts[2 * i : 2 * i + 2], *told[2 * i : 2 * i + 2])
        for i, s in enumerate(samples)
    ]


def _matches(sample: Sample, texts: Sequence[str], asked: str | None, given: str | None) -> Value:
    if sample.type == "translation":
        return Undefined("a translation answers in another language")
    if asked is not None and given is not None:
        return float(asked == given)
    # Texts too short for a language still have a script; a prompt of both says nothing of the answer's.
    scripts = [(bool(_HAN.search(text)), bool(_LATIN.search(text))) for text in texts]
    if any(han == latin for han, latin in scripts):
        return Undefined("the language cannot be told")
    return float(scripts[0] == scripts[1])


def _refusal(_: Sample, answer: str) -> Value:
    return float(bool(_REFUSAL.spans(answer[:_REFUSAL_REACH])))


def _boilerplate(_: Sample, answer: str) -> Value:
    """Return the share of characters in stock phrases that open or close an answer and say nothing."""
    places: set[int] = set()
    for span in _STOCK.spans(answer):
        places.update(range(*span))
    return len(places) / len(answer)


def _complete(_: Sample, answer: str) -> Value:
    """Whether a text of several words ends as texts end; a bare word or number is an answer of its own."""
    text = answer.rstrip()
    if len(_lowered(answer)) < _LEAST_WORDS:
        return Undefined("too short to tell")
    return float(text.endswith(_ENDS) or text[-1].isdigit())


def _balanced(_: Sample, answer: str) -> Value:
    """Whether code fences and brackets are closed; list marks such as "a)" are no brackets."""
    fences = answer.count("```")
    if fences % 2:
        return 0.0
    plain = _FENCED.sub("", answer) if fences else answer
    if ")" in plain or "）" in plain:
        plain = _LIST_MARK.sub("", plain)
    pairs = _BRACKETS[:3] if plain.isascii() else _BRACKETS
    return float(all(plain.count(pair[0]) == plain.count(pair[1]) for pair in pairs))


def _repetition(_: Sample, answer: str) -> Value:
    """Return the share of four-word runs that were there before (Rae et al. 2021, appendix A)."""
    found = _lowered(answer)
    total = len(found) - _REPEATED + 1
    if total < 1:
        return Undefined("fewer than four words")
    return (total - len(set(zip(*(found[i:] for i in range(_REPEATED)), strict=False)))) / total


def _overlap(sample: Sample, answer: str) -> Value:
    """Return the share of the answer's distinct words that the prompt has too."""
    said = set(_lowered(answer))
    if not said:
        return Undefined("no words")
    return len(said & set(_lowered(_prompt(sample)))) / len(said)


def _garbled(_: Sample, answer: str) -> Value:
    """Return the share of characters that a wrong encoding leaves behind."""
    places: set[int] = set()
    controls, marks = (_CONTROLS, _ASCII_MARKS) if answer.isascii() else (_GARBLED, _MARKS)
    for match in controls.finditer(answer):
        places.update(range(*match.span()))
    # A run of marks of three kinds or more is no Markdown and no formula.
    for match in marks.finditer(answer):
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
    Indicator("language_match", 2, "0 or 1", 1, (), _OWN, _language_match),
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
