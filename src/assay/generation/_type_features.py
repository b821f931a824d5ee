"""Prompts as sparse features that tell their type of use, in Chinese and English, and plain keyword rules.

The wording of a task stands at its beginning or its end, a text to work on may stand between: so runs of
tokens are counted apart for the head, the tail and the whole, and each part weighs alike however long it is.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

FEATURES = 1 << 15
VERSION = "types-1"
"""Changes with whatever changes the features: weights of another version are refused."""

_START, _END = 6, 24
_STEM = 5
_LONGEST = 400
_ALONE = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[^\W\d_{_ALONE}]+|\d+|[^\w\s]|[{_ALONE}]|\n")

RULES: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "translation": r"translat|翻译|译成|译为|[英法日德俄韩][语文]怎么说",
        "code": r"python|java|c\+\+|\bsql\b|html|\bcode\b|function that|regular expression"
        r"|代码|程序|编程|函数，|正则|脚本",
        "summarization": r"summar|sum up|tl;dr|main (idea|point)|headline"
        r"|总结|概括|摘要|归纳|主要内容|标题|中心思想",
        "extraction": r"extract|pick out|named entit|keywords|抽取|提取|找出.*[中里]|关键词",
        "closed_qa": r"passage|(according to|based on|using) the (text|article|passage|context)"
        r"|根据(上|下|以下|文|短文|材料|段落|给)|阅读",
        "classification": r"classif|categor|sentiment|positive or negative|分类|情感|归类|属于|判断",
        "rewrite": r"re(write|phrase|word)|paraphrase|correct the|proofread|polish"
        r"|改写|重写|改成|改为|润色|换一种|改正|修改",
        "cot": r"step by step|reasoning|逐步|一步|推理",
        "math": r"\d\s*[-+*/×÷=]|calculat|equation|perimeter|how many"
        r"|计算|等于|方程|多少[个元只]|面积|平均数|概率",
        "brainstorming": r"ideas|suggest|brainstorm|\blist\b|tips|recommend"
        r"|列举|列出|建议|推荐|想法|点子|几个",
        "generation": r"write|compose|draft|create|generate|story|poem|写|创作|编|作文|诗|故事|描述",
    }.items()
}
"""Words that show a type, the most telling first; what shows none is an open question."""


_SIGNS: Mapping[str, Sequence[str]] = {
    "colon": ":", "quote": "\"“”「'", "code": ("{", "};", "()", "=>", "#include"), "list": "、;",
    "sum": "=+×÷",
}  # fmt: skip


def plain(text: str) -> str:
    """Return the text in NFKC and lower case."""
    return unicodedata.normalize("NFKC", text).lower()


def by_rules(text: str) -> str:
    """Return the type that plain keyword rules give a prompt: what a classifier has to beat."""
    low = plain(text)
    return next((name for name, pattern in RULES.items() if pattern.search(low)), "open_qa")


def tokens_of(text: str) -> list[str]:
    """Return words cut to five letters, single Han characters, signs and line ends; numbers become 0."""
    return ["0" if token[0].isdigit() else token[:_STEM] for token in _TOKEN.findall(plain(text))]


def features(texts: Sequence[str]) -> Any:
    """Return the features of texts as a SciPy matrix in compressed rows, float32 [texts, FEATURES]."""
    from scipy.sparse import csr_matrix

    columns: list[int] = []
    values: list[float] = []
    edges = [0]
    for text in texts:
        row: dict[int, float] = {}
        for part in _parts(text):
            weight = 1 / max(1.0, len(part)) ** 0.5
            for name in part:
                column = zlib.crc32(name.encode("utf-8", "surrogatepass")) % FEATURES
                row[column] = row.get(column, 0.0) + weight
        columns += row
        values += row.values()
        edges.append(len(columns))
    shape = (len(texts), FEATURES)
    return csr_matrix((np.array(values, np.float32), np.array(columns, np.int64), np.array(edges)), shape)


def _parts(text: str) -> Iterator[set[str]]:
    tokens = tokens_of(text)[:_LONGEST]
    head, tail = tokens[:_END], tokens[-_END:]
    yield {f"s{gram}" for gram in _grams(["^", *head[:_START]], 3)}
    yield {f"h{gram}" for gram in _grams(head, 2)}
    yield {f"t{gram}" for gram in _grams([*tail, "$"], 2)}
    yield {f"b{token}" for token in tokens}
    yield set(_shape(text, tokens))


def _grams(tokens: Sequence[str], longest: int) -> Iterator[str]:
    for size in range(1, longest + 1):
        for start in range(len(tokens) - size + 1):
            yield "\x1f".join(tokens[start : start + size])


def _shape(text: str, tokens: Sequence[str]) -> Iterator[str]:
    """Yield what is seen without reading: length, lines, signs, digits, and which keyword rules hold."""
    low = plain(text)
    yield f"#length{len(tokens).bit_length()}"
    yield f"#lines{min(text.count(chr(10)), 3)}"
    digits = tokens.count("0")
    yield f"#digits{min(digits, 4)}{'many' if digits * 4 > len(tokens) else ''}"
    for name, signs in _SIGNS.items():
        if any(sign in low for sign in signs):
            yield f"#{name}"
    if low.rstrip().endswith("?"):
        yield "#asks"
    for name, pattern in RULES.items():
        if pattern.search(low[:200]) or pattern.search(low[-100:]):
            yield f"#rule{name}"
