"""A study whose base is fine-tuned by its provider, from the plan to the report."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay import study
from assay.core import AssayError, StudyResult

sys.path.insert(0, str(Path(__file__).parent.parent / "llm"))
from together_server import TogetherProvider
from tune_server import Provider, tuning

PRICES = """
[[price]]
model = "openai-api/scripted/ft:gpt-x"
input = 1.0
output = 2.0
train = 5.0
[[price]]
model = "openai-api/scripted/gpt-x"
input = 1.0
output = 2.0
"""


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Provider]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prices.toml").write_text(PRICES)
    with tuning(faults={"lost": 0.1, "error": 0.1, "limited": 0.1}, seed=2) as running:
        yield running


def asked(provider: Provider, **changes: Any) -> dict[str, Any]:
    hosted = {"base_url": provider.url, "poll": 0.005, "listed": 0.1, "prices": "prices.toml", "epochs": 2}
    few: dict[str, Any] = {"types": ["math"], "languages": ["en"]}
    return {
        "name": "hosted", "base": "openai-api/scripted/gpt-x", "pool": {"testbed": {"samples": 80, **few}},
        "evaluation": {"testbed": {"samples": 8, "seed": 1, **few}}, "ladder": {"rungs": [8, 16], "seeds": 1},
        "hosted": {**hosted, **changes},
    }  # fmt: skip


def test_a_ladder_at_a_provider(provider: Provider) -> None:
    """Foretold at most, paid for once, measured by answers, and found again without asking anything."""
    plan = study.plan(asked(provider))
    most = plan.plan.total.money["USD"]
    result = study.run(asked(provider, budget="5 USD"), pool="inline")
    assert isinstance(result, StudyResult)
    assert sorted(row.n_train for row in result.runs) == [8, 16]
    assert {point.metric for point in result.points} == {"score"}
    assert result.recipe["epochs"] == 2 and result.forgetting is None
    assert set(provider.trained().values()) == {1} and provider.billed() == sum(
        row.tokens for row in result.runs
    )
    sent = next(iter(provider.files.values()))["text"].splitlines()
    assert len(sent) in (8, 16) and all(line.startswith('{"messages": ') for line in sent)
    before = dict(provider.asked)
    study.run(asked(provider, budget="5 USD"), pool="inline")
    assert dict(provider.asked) == before
    cost = (Path("runs/hosted") / "cost.json").read_text()
    assert 0 < provider.billed() * 5e-6 < most and "USD" in cost


def test_a_ladder_at_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("together")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prices.toml").write_text(PRICES.replace("openai-api/scripted", "together/owners"))
    with tuning(TogetherProvider, faults={"lost": 0.1, "error": 0.1}, seed=2) as provider:
        settings = {**asked(provider, budget="5 USD", learning_rate=1e-5), "base": "together/owners/gpt-x"}
        result = study.run(settings, pool="inline")
        assert isinstance(result, StudyResult) and sorted(row.n_train for row in result.runs) == [8, 16]
        assert {point.metric for point in result.points} == {"score"}
        assert set(provider.trained().values()) == {1}


def test_no_room_in_the_budget_begins_nothing(provider: Provider) -> None:
    with pytest.raises(AssayError, match="no room for this job"):
        study.run(asked(provider, budget="0.0001 USD"), pool="inline")
    assert not provider.jobs


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"recipe": "pocket"}, "recipe"),
        ({"question": {"steps_or_samples": True}}, "question.steps_or_samples"),
        ({"measure": {"answers": False}}, "measure.answers"),
        ({"base": {"a": "openai/gpt-4.1-mini", "b": "pocket"}}, "base"),
        ({"arms": {"top": {"rule": "top", "by": "ifd"}}}, "arms.top"),
        ({"hosted": {"epochs": 0}}, "hosted.epochs"),
    ],
)
def test_what_needs_the_base_here_is_refused(provider: Provider, changes: dict[str, Any], place: str) -> None:
    with pytest.raises(AssayError) as refused:
        study.plan({**asked(provider), **changes})
    assert refused.value.place == place
