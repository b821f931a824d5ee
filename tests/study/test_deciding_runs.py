"""Where more data did harm and the cause is open, the largest rung is trained again at a lower rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import assay
from assay import study
from assay.core import DataSummary, StudyResult
from assay.data import synthetic, write
from assay.plan import Store
from assay.study._check import SHARE, CheckPlan, planned
from assay.study._graph import Ladder, input_steps
from assay.view import headline, value_markdown

KNOWN = ("classification", "code")
OTHERS = ("translation", "summarization")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], StudyResult]:
    """A base that knows two tasks is trained on two others in another language, and forgets."""
    folder = tmp_path_factory.mktemp("deciding")
    known = [p.sample for p in synthetic.generate(160, seed=50, types=KNOWN)]
    write(known, folder / "known.jsonl", "samples")
    assay.train(
        str(folder / "known.jsonl"), folder / "base", recipe="testbed", set=["batch_size=4"],
        store=folder / "store",
    )  # fmt: skip
    testbed = {"samples": 60, "seed": 1, "types": list(KNOWN), "languages": ["zh"]}
    settings = {
        "name": "forgets", "base": str(folder / "base" / "model"),
        "pool": {"testbed": {"samples": 240, "types": list(OTHERS), "languages": ["en"]}},
        "evaluation": {"testbed": testbed}, "ladder": {"rungs": [24, 48, 96], "seeds": 1},
        "recipe": {"preset": "testbed", "batch_size": 4, "warmup_steps": 2, "learning_rate": 3e-3},
        "measure": {"answers": False, "text": False},
        "where": {"pool": "inline", "store": str(folder / "store"), "out": str(folder / "report")},
    }  # fmt: skip
    found = study.run(settings)
    assert isinstance(found, StudyResult)
    return settings, found


def test_harm_without_a_cause_is_decided_at_a_lower_rate(ran: tuple[dict[str, Any], StudyResult]) -> None:
    (cause,) = ran[1].causes
    assert cause.harm in ("falling", "below_base")
    assert ran[1].control is not None
    assert ran[1].control.matched == 0, "nothing of the pool is like the evaluation set"
    assert cause.elsewhere, "the largest rung was trained again"
    assert all(float(one.recipe) < 3e-3 for one in cause.elsewhere)
    assert all(one.learned is not None and one.shift.n_to == 96 for one in cause.elsewhere)
    said = headline(ran[1], "en")
    assert cause.word == "open" or any(one.recipe in said for one in cause.elsewhere)
    assert cause.elsewhere[0].recipe in value_markdown(ran[1])


def test_the_study_run_again_trains_nothing(ran: tuple[dict[str, Any], StudyResult]) -> None:
    folder = Path(ran[0]["where"]["store"]) / "objects"
    before = set(folder.glob("*/*"))
    assert study.run(ran[0]) == ran[1]
    assert set(folder.glob("*/*")) == before


def test_what_decided_is_kept_from_garbage_collection(ran: tuple[dict[str, Any], StudyResult]) -> None:
    wanted = {key for keys in Store(Path(ran[0]["where"]["store"])).roots().values() for key in keys}
    objects = Path(ran[0]["where"]["store"]) / "objects"
    trained = [path.name for path in objects.glob("*/*") if (path / "model").is_dir()]
    assert set(trained) <= wanted


def unread(rungs: list[int], **recipe: Any) -> Ladder:
    config = study.parse_config({
        "name": "unread", "pool": {"testbed": {"samples": 1500}}, "recipe": {"preset": "testbed", **recipe},
        "evaluation": {"testbed": {"samples": 80, "seed": 1}}, "ladder": {"rungs": rungs, "seeds": 2},
    })  # fmt: skip
    return Ladder(config, *input_steps(config), DataSummary((), 1500, {}, {}, {}, {"p50": 20.0}))


def test_a_small_ladder_has_a_short_check_within_its_share() -> None:
    ladder = unread([200, 500, 1200])
    plan = planned(ladder)
    assert plan is not None
    assert plan.share <= SHARE
    assert plan.smaller > 1
    assert len(plan.rates) >= 3
    assert ladder.config.recipe.learning_rate in plan.rates


@pytest.mark.parametrize("smaller", [1, 2, 4, 8])
def test_rates_go_with_the_root_of_the_batch(smaller: int) -> None:
    own = unread([200, 500]).config.recipe
    found = CheckPlan("random", (1e-3,), (100,), 100, 0.1, smaller).recipe(own, 1e-3)
    assert found.batch_size == own.batch_size // smaller
    assert found.learning_rate == pytest.approx(1e-3 * (1 / smaller) ** 0.5)


def test_a_check_of_the_ladder_s_own_rungs_is_preferred() -> None:
    plan = planned(unread([200, 400, 800, 1200], batch_size=8, warmup_steps=2))
    assert plan is not None
    assert plan.smaller == 1
