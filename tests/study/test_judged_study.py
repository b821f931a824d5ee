"""A study whose answers a chat model judges, from raw pool to report, over real HTTP."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay import release, study
from assay.core import AssayError, StudyResult

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "llm"))

PRICES = '[[price]]\nmodel = "openai-api/scripted/judge"\ninput = 1.0\noutput = 1.0\n'


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from chat_server import serving

    monkeypatch.setenv("SCRIPTED_API_KEY", "sk-test")
    with serving(script="study_judge:answer", script_path=str(HERE)) as running:
        yield running


@pytest.fixture
def judged(study_file: Callable[..., Path], server: Any, tmp_path: Path) -> Callable[..., Path]:
    (tmp_path / "prices.toml").write_text(PRICES)

    def write(**judge: Any) -> Path:
        own = {"model": "openai-api/scripted/judge", "base_url": server.url, "repeats": 2, "exact": False,
               "prices": "prices.toml", "max_tokens": 64, **judge}  # fmt: skip
        return study_file(ladder={"rungs": [32, 64], "seeds": 1}, judge=own)

    return write


def shown(result: StudyResult) -> list[tuple[str, str, float | None]]:
    return [(s.type, a.answer, a.score) for s in result.answers for a in s.answers]


def test_a_judge_scores_from_pool_to_report(judged: Callable[..., Path], server: Any, tmp_path: Path) -> None:
    file = judged()
    planned = study.plan(file).plan
    costs = {row.name: row.money for row in planned.rows}
    assert costs["judge"]["USD"] > 0, "the plan says what judging costs at most"
    result = study.run(file)
    scales = {"classification": (0, 0.25, 0.5, 0.75, 1), "code": (0, 1)}
    for kind, answer, score in shown(result):
        said = answer.strip()
        if not said:
            assert score == 0
        elif "z" in said.lower():
            assert score is None, "what cannot be read is no number"
        else:
            assert score == scales[kind][len(said) % len(scales[kind])]
    assert result.judge is not None and "scripted/judge" in result.judge.version
    assert result.judge.money and result.judge.money > 0
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert result.judge.version in page and "letters" in page, "the page shows what the judge said"
    logs = sorted((tmp_path / "report" / "judgements").glob("*.eval"))
    assert len(logs) == 3, "a log for each model: base and two rungs"
    from inspect_ai.log import read_eval_log

    assert read_eval_log(str(logs[0])).samples

    asked = len(server.log())
    assert study.run(file) == result
    study.run(judged(budget="1 USD"))
    assert len(server.log()) == asked, "a budget is not identity, and no question was given twice"

    with pytest.raises(AssayError, match="a chat model judged"):
        release.export("report:random/64", pool="inline", runs=tmp_path)
    proof = release.export("report:random/64", dtype="fp32", study=file, pool="inline", runs=tmp_path).proof
    assert "scripted/judge" in proof.scored_by and {drop.cost for drop in proof.files[0].drops} == {0}
    assert len(server.log()) == asked, "answers that are known are not judged again"


def test_a_budget_ends_a_study_and_a_larger_one_goes_on(
    judged: Callable[..., Path], server: Any, tmp_path: Path
) -> None:
    with pytest.raises(AssayError, match="did not reply to every item"):
        study.run(judged(budget="5000 tokens"))
    paid = len(server.log())
    assert paid > 0
    result = study.run(judged(budget="1 USD"))
    assert result.judge is not None and result.judge.failed == 0
    once = len(server.log())
    assert set(server.answered_well().values()) <= {1, 2}, "each repeat is paid once"
    assert study.run(judged(budget="2 USD")) == result and len(server.log()) == once


def test_a_judge_needs_answers(judged: Callable[..., Path]) -> None:
    with pytest.raises(AssayError, match="the judge has no answers"):
        study.load(judged(), ["measure.answers=false"])
