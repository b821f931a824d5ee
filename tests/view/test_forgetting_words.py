"""What the first page says of forgetting, in both languages."""

from __future__ import annotations

import dataclasses
import re

import pytest

from assay.core import Answer, Forgetting, Rise, StudyResult, Verdict
from assay.view import render_html, report
from assay.view._markdown import page_markdown


def rise(n: int, value: float, within: float | None = None) -> Rise:
    return Rise("en", "random", n, value, value - 0.01, value + 0.01, 2, 24, within)


@pytest.mark.parametrize(("language", "price", "limit"), [
    (
        "en", "loss on plain text by +0.050 [+0.040, +0.060] (English)",
        "forget more than you allow; up to 500",
    ),
    ("zh", "纯文本损失变化 +0.050 [+0.040, +0.060]（英文）", "遗忘超出了允许的范围；不超过 500 条"),
])  # fmt: skip
def test_the_price_and_the_limit_are_on_the_first_page(
    result: StudyResult, language: str, price: str, limit: str
) -> None:
    verdict = next(c.verdict for c in result.curves if c.verdict is not None)
    assert isinstance(verdict, Verdict) and result.answer is not None
    n = result.answer.n
    enough = dataclasses.replace(verdict, word="plateau")
    answer = dataclasses.replace(result.answer, arm="random", overall=enough)
    assert isinstance(answer, Answer)
    found = Forgetting((), (), (rise(500, 0.01, 0.99), rise(n, 0.05, 0.2)), 0.02)
    shown = dataclasses.replace(result, answer=answer, forgetting=found, language=language)
    text = re.sub(r"\\", "", page_markdown(report(shown)))
    first = text.split("\n## ")[0]
    assert price in first and limit in first
    page = render_html(shown)
    html = re.sub(r"<[^>]+>", "", page[: page.index('id="types"')])
    assert limit in html and "+0.050 [+0.040, +0.060]" in html
    assert html.index(limit) < html.index("+0.050 [+0.040, +0.060]")
    unlimited = dataclasses.replace(found, largest_loss=None, rises=(rise(500, 0.01), rise(n, 0.05)))
    free = page_markdown(report(dataclasses.replace(shown, forgetting=unlimited)))
    assert limit not in free and "0.9" not in free.split("\n## ")[0]
