"""A Chinese study speaks Chinese: what steps, readers, rules and exports note, and the reasons they give."""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from rich.console import Console

from assay.core import (
    ExportDrop,
    ExportedFile,
    ExportPage,
    Say,
    StudyResult,
    say,
    stored_text,
    to_json,
)
from assay.data import Rejected
from assay.indicators import IndicatorSummary, Scored
from assay.view import (
    page_markdown,
    plain_json,
    print_page,
    print_value,
    render_html,
    report,
    restore,
    summary,
    words,
)
from assay.view._words._notes import NOTES, REASONS

SOURCES = Path(__file__).resolve().parents[2] / "src/assay"
ENGLISH = re.compile(r"(?:\b[A-Za-z][a-z']*\b[ ,;:.]*){4,}")
"""A run of four words: what is no name, place or code any more."""
VALUES = {
    "n": 3, "of": 7, "now": 512, "before": 1024, "step": 2, "seed": 1, "block": 256, "count": 4,
    "window": 4096, "share": 0.97, "arm": "top", "counts": {"len_out": 2}, "others": {"q8_0": 1},
    "name": "f1", "rule": "mine", "what": "reward", "used": "a", "fitted": "b", "kind": "q4_k",
    "suffix": "tsv", "setting": "measure.max_tokens", "place": "a.jsonl", "language": "zh",
    "note": "no user turn",
    "text": say("rule.warning.rank", rank=0.1), "verdict": say("rule.verdict.equal"),
}  # fmt: skip


def every_note() -> list[Say]:
    """Return each kind of note with plausible values, as a store gives it back."""
    notes = [say(key, **{n: v for n, v in VALUES.items() if "{" + n in NOTES[key][0]}) for key in NOTES]
    found = [
        stored_text(json.loads(json.dumps(to_json(note)))) for note in notes if note.key.startswith("note")
    ]
    return [note for note in found if isinstance(note, Say)]


def english(text: str) -> list[str]:
    """Return the runs of English words in a page, outside of its code, style and markup."""
    text = re.sub(r"<(style|script|code|pre|title)\b.*?</\1>|`[^`]*`", "。", text, flags=re.DOTALL)
    return [run.group() for run in ENGLISH.finditer(unescape(re.sub(r"<[^>]*>", "。", text)))]


def forms(result: StudyResult) -> Iterator[str]:
    """Yield the study in HTML, Markdown and as the terminal shows it."""
    out = io.StringIO()
    print_page(summary(result), Console(file=out, width=2000))
    yield from (render_html(result), page_markdown(report(result)), out.getvalue())


def test_every_kind_of_note_is_chinese_in_a_chinese_study_in_every_form(chinese: StudyResult) -> None:
    arms = tuple(replace(arm, rule="top") for arm in chinese.arms)
    noted = dict.fromkeys((english for key, (english, _) in REASONS.items() if "{" not in english), 3)
    source = replace(chinese.pool.sources[0], detected="alpaca: json lines, UTF-8; rows have `a` and `b`")
    pool = replace(chinese.pool, noted=noted, unused={"mood": 2}, sources=(source,))
    drop = ExportDrop("overall", "score", 0.5, 0.4, 0.1, 0.03, 0.05, 0.15, 0.01, 10, 0, 0.05, "worse")
    file = ExportedFile("gguf-q4_k", "m.gguf", 10, "llama.cpp", 3.0, 0.9, (drop,), tuple(every_note()))
    export = ExportPage("m", "zh", 10, "checker", 0, "cpu", 1, 20, 4.0, (file,))
    result = replace(
        chinese,
        pool=pool,
        evaluation=pool,
        notes=tuple(every_note()),
        exports=(export,),
        answers=(),
        arms=arms,
    )
    result = restore(StudyResult, json.loads(json.dumps(to_json(result))))
    for text in forms(result):
        assert english(text) == []
        assert "显存不足" in text and "格式由用户指定" in text


def test_an_old_note_stays_as_it_was_written(chinese: StudyResult) -> None:
    for text in forms(replace(chinese, notes=("a note of a version before",))):
        assert "a note of a version before" in text


def test_a_note_of_a_later_version_is_shown_by_its_key(chinese: StudyResult) -> None:
    assert words("zh").text(say("note.not_yet", n=3)) == "note.not_yet {'n': 3}"


def test_notes_are_texts_for_programs_and_in_python() -> None:
    note = say("note.rule", rule="mine", text=say("rule.verdict.equal"))
    assert str(note) == "Rule mine: Random samples are as good"
    assert plain_json({"notes": [note]}) == {"notes": [str(note)]}
    assert stored_text(to_json(note)) == note and len({note, stored_text(to_json(note))}) == 1


def reasons() -> Iterator[tuple[str, str]]:
    """Yield every reason that the sources give for a row or a value, its holes filled."""
    for path in (p for room in ("data", "indicators") for p in (SOURCES / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "Reject",
                "Broken",
                "Undefined",
            ):
                text = node.args[0]
                if isinstance(text, ast.Constant):
                    yield path.name, str(text.value)
                elif isinstance(text, ast.JoinedStr):
                    yield (
                        path.name,
                        "".join(
                            str(part.value) if isinstance(part, ast.Constant) else "x" for part in text.values
                        ),
                    )


def test_every_reason_in_the_sources_has_a_chinese_text() -> None:
    w, found = words("zh"), dict(reasons())
    every = [reason for _, reason in reasons() if reason != "x is x"]  # "is empty", "is null or missing"
    assert len(found) > 10 and len(every) > 60
    assert [reason for reason in every if w.name("reason", reason) == reason] == []
    assert [reason for reason in every if english(w.name("reason", reason))] == []


@pytest.mark.parametrize("key", [key for key in REASONS if key != "reason.of"])
def test_a_reason_in_english_is_said_as_it_is_stored(key: str) -> None:
    text = re.sub(r"{[^}]*}", "x", REASONS[key][0])
    assert words("en").name("reason", text) == text


def test_reasons_of_tables_are_chinese() -> None:
    row = IndicatorSummary("mtld", "words", 1, 1, 2, "fewer than 10 words", None, None, None)
    out = io.StringIO()
    print_value(Scored("t.parquet", 3, (row,), language="zh"), Console(file=out, width=200))
    assert "少于 10 个词" in out.getvalue() and english(out.getvalue()) == []
    rejected = Rejected("a", 1, "mtld: fewer than 10 words; knn: no answer", "")
    assert words("zh").name("reason", rejected.reason) == "mtld：少于 10 个词；knn：没有回答"
