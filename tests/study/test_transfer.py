"""A rule fitted elsewhere is tried on a study: subsets ranked, a trial, a verdict; on small real runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_study import jsonl, rows_of

import assay
from assay import view
from assay.core import AssayError
from assay.regression import Rank
from assay.study._transfer import transfer_word

RULE = {
    "name": "elsewhere", "predicts": "log loss", "direction": -1, "intercept": 1.0,
    "coefficients": {"len_in": -0.05, "knn": 0.2}, "source": "by hand",
    "models": {"embedder": {"name": "lexical", "digest": ""}, "neighbour": "6"},
    "warnings": ["The length explains as much"],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(writer: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of its own pool with a store, and a rule beside it."""
    folder = tmp_path_factory.mktemp("transfer")
    jsonl(folder / "pool.jsonl", rows_of(240, 0))
    jsonl(folder / "items.jsonl", rows_of(10, 1, "eval"))
    (folder / "rule.json").write_text(json.dumps(RULE))
    writer(
        folder, name="here", pool="pool.jsonl", evaluation="items.jsonl", recipe_check=False,
        measure={"answers": False, "text": False}, ladder={"rungs": [32], "seeds": 1},
        models={"embedder": "lexical"}, control=False,
    )  # fmt: skip
    return folder


@pytest.fixture
def tried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder / "study.yaml"


def test_a_rule_is_tried_elsewhere(tried: Path, folder: Path) -> None:
    found = assay.rule.transfer("rule.json", study=tried, n=32, runs=8)
    (one,) = found.studies
    assert (one.name, one.base, one.n) == ("here", "pocket", 32)
    assert len(one.predicted) == len(one.measured) == 8 and one.noise is not None and one.noise > 0
    assert one.rank is not None and one.rank.low <= one.rank.value <= one.rank.high and one.rank.n == 8
    assert {c.a for c in one.trial} == {"top", "top-matched", "bottom"}
    assert all(c.seeds == 3 and c.n_train == 32 for c in one.trial)
    assert one.word == transfer_word(one.rank, one.verdict.key)
    assert "Rule elsewhere: The length explains as much" in map(str, one.notes)
    subsets = sorted(Path(one.folder).glob("row*.ids"))
    assert len(subsets) == 8 and all(len(p.read_text().split()) == 32 for p in subsets)
    assert Path(one.folder, "trial", "report.html").exists()
    assert json.loads(Path(found.path).read_text())["studies"][0]["word"] == one.word
    assert "elsewhere" in Path(found.page).read_text()
    before = {p: p.stat().st_mtime_ns for p in (folder / "store" / "objects").rglob("train.json")}
    assert assay.rule.transfer("rule.json", study=tried, n=32, runs=8) == found
    after = {p: p.stat().st_mtime_ns for p in (folder / "store" / "objects").rglob("train.json")}
    assert after == before, "nothing is trained again"


@pytest.mark.long
def test_other_models_are_refused_unless_forced_and_said(tried: Path) -> None:
    with pytest.raises(AssayError, match="fitted with other models"):
        assay.rule.transfer("rule.json", study=tried, n=32, runs=8, set=["models.neighbour=3"])
    forced = ["models.neighbour=3", "models.other_models=true"]
    found = assay.rule.transfer("rule.json", study=tried, n=32, runs=8, set=forced)
    assert "Rule elsewhere: applied with neighbour 3, fitted with 6" in map(str, found.studies[0].notes)


def test_what_cannot_be_told_is_refused(tried: Path) -> None:
    with pytest.raises(AssayError, match="too few subsets"):
        assay.rule.transfer("rule.json", study=tried, n=32, runs=4)
    with pytest.raises(AssayError, match="too few samples"):
        assay.rule.transfer("rule.json", study=tried, n=200, runs=8)
    with pytest.raises(AssayError, match="no study"):
        assay.rule.transfer("rule.json", study=[], n=32, runs=8)


def rank(low: float, high: float) -> Rank:
    return Rank((low + high) / 2, low, high, 12)


@pytest.mark.parametrize(
    ("found", "verdict", "word"),
    [
        (rank(0.2, 0.9), "rule.verdict.beats", "carries"),
        (rank(-0.4, 0.5), "rule.verdict.beats", "undecided"),
        (None, "rule.verdict.beats", "undecided"),
        (rank(0.2, 0.9), "rule.verdict.worse", "fails"),
        (rank(0.2, 0.9), "rule.verdict.equal", "fails"),
        (rank(0.2, 0.9), "rule.verdict.undecided", "undecided"),
        (rank(-0.9, 0.2), "rule.verdict.undecided", "fails"),
        (None, "rule.verdict.undecided", "undecided"),
    ],
)
def test_a_rule_carries_over_where_both_say_so(found: Rank | None, verdict: str, word: str) -> None:
    assert transfer_word(found, verdict) == word


def test_several_studies_are_a_matrix_in_both_languages(tried: Path) -> None:
    found = assay.rule.transfer("rule.json", study=tried, n=32, runs=8)
    other = replace(found.studies[0], name="there", word="fails", rank=None)
    both: Any = replace(found, studies=(found.studies[0], other))
    for language, said in (("en", "does not carry over"), ("zh", "不能迁移")):
        shown = view.page_markdown(replace(both, language=language).as_page(), language)
        assert said in shown and "| there |" in shown and "| – |" in shown
