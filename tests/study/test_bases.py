"""A study over several base models: same data, same items, each base as if alone, one answer beside them."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars
import pytest

from assay import study, view
from assay.core import BASE_ARM, OVERALL, AssayError, BasesResult, StudyResult
from assay.model import base_digest, resolve_base
from assay.plan import Store
from assay.study._bases import StudyGraph, study_graph, study_ladders
from assay.study._graph import input_steps
from assay.study._run import read_summary, run_one

Several = tuple[Path, BasesResult]
Writer = Callable[..., Path]

SETTINGS: dict[str, Any] = {
    "name": "several",
    "ladder": {"rungs": [16, 32, 64], "seeds": 2},
    "arms": {"hard": {"rule": "top", "by": "ppl", "rungs": [16, 32]}},
    "baselines": False,
    "question": {"price_per_thousand": 12.5},
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bases")


@pytest.fixture(scope="session")
def bases(tiny: Callable[..., Path]) -> dict[str, Any]:
    """A tiny random Llama with a tokenizer of its own, and the pocket model at another learning rate."""
    large = {"model": "pocket", "recipe": {"learning_rate": 1e-3}, "arms": ["random", "hard"]}
    return {"little": str(tiny("llama")), "whole": large}


@pytest.fixture(scope="session")
def several(folder: Path, bases: dict[str, Any], writer: Writer) -> Several:
    path = writer(folder, **SETTINGS, base=bases)
    found = study.run(path)
    assert isinstance(found, BasesResult)
    return path, found


def graph(path: Path, **changes: Any) -> StudyGraph:
    config = study.load(path, [f"{key}={json.dumps(value)}" for key, value in changes.items()])
    evaluation, pool = input_steps(config)
    summary = read_summary(Store(path.parent / "store", create=False), pool)
    return study_graph(config, evaluation, study_ladders(config, evaluation, pool, summary))


def test_every_base_is_measured_from_before_training_on_along_its_ladder(several: Several) -> None:
    _, result = several
    assert [base.name for base in result.bases] == ["little", "whole"], "smallest first"
    assert [base.family for base in result.bases] == ["llama", "llama"]
    assert result.bases[1].parameters == pytest.approx(1_328_256, rel=0.01)
    cells = {("random", n, s) for n in (16, 32, 64) for s in (0, 1)}
    cells |= {("hard", n, s) for n in (16, 32) for s in (0, 1)} | {(BASE_ARM, 0, 0)}
    for base in result.bases:
        for metric in ("score", "loss", "bits_per_byte"):
            rows = [p for p in base.result.points if (p.type, p.metric) == (OVERALL, metric)]
            assert {(p.arm, p.n_train, p.seed) for p in rows} == cells
    untrained = [next(p.run for p in b.result.points if p.arm == BASE_ARM) for b in result.bases]
    assert untrained[0] != untrained[1]


def test_a_base_among_others_has_the_keys_of_a_study_of_its_own(
    several: Several, bases: dict[str, Any]
) -> None:
    path, _ = several
    whole = graph(path)
    alone = graph(path, base="pocket", recipe={"batch_size": 16, "learning_rate": 1e-3}, name="several-whole")
    first = graph(path, base=bases["little"], name="several-little")
    assert first.final.key == whole.parts["little"].result.key, "to the last step"
    rows = [run for run in alone.parts[""].runs if run.arm == "random"]
    others = [run for run in whole.parts["whole"].runs if run.arm == "random"]
    assert [run.answer.key for run in rows] == [run.answer.key for run in others]


def test_the_first_base_chooses_the_data_of_all(several: Several, bases: dict[str, Any]) -> None:
    path, result = several
    small, large = graph(path).parts.values()
    for a, b in zip(small.runs, large.runs, strict=True):
        if a.branch is not None and b.branch is not None:
            assert a.branch.key != b.branch.key
            assert a.branch.inputs["order"].key == b.branch.inputs["order"].key
    order = next(run for run in large.runs if run.arm == "hard").branch
    assert order is not None
    scores = order.inputs["order"].inputs["scores"]
    assert scores.config["base"] == base_digest(resolve_base(bases["little"]))
    assert result.scored_by == "little"


@pytest.mark.long
def test_losses_per_token_are_compared_only_where_tokens_are_the_same(
    several: Several, tmp_path: Path, writer: Writer
) -> None:
    _, result = several
    assert result.comparable == ("score", "bits_per_byte")
    assert {row.metric for row in result.upgrades} == {"score", "bits_per_byte"}
    twin = tmp_path / "twin"
    shutil.copytree(resolve_base("pocket"), twin)
    config = json.loads((twin / "generation_config.json").read_text())
    (twin / "generation_config.json").write_text(json.dumps({**config, "max_length": 99}))
    path = writer(
        tmp_path, base={"one": "pocket", "other": {"model": str(twin), "recipe": {"learning_rate": 1e-4}}},
        ladder={"rungs": [16, 32, 64], "seeds": 2}, measure={"answers": False},
    )  # fmt: skip
    found = study.run(path)
    assert isinstance(found, BasesResult)
    assert found.comparable == ("loss", "bits_per_byte")
    assert {row.metric for row in found.upgrades} == {"loss", "bits_per_byte"}
    for row in found.upgrades:
        assert row.cost.inference_ratio == 1.0
        assert row.per_cost is None, "it trains no dearer, so there is nothing to divide by"


def test_the_question_is_asked_of_every_type_at_its_price(several: Several) -> None:
    _, result = several
    rows = [row for row in result.upgrades if (row.arm, row.metric) == ("random", "bits_per_byte")]
    assert {(row.type, row.n_train, row.measured) for row in rows} == {
        (kind, n, n == 32) for kind in (OVERALL, "classification", "code") for n in (32, 64)
    }
    (row,) = [row for row in rows if (row.type, row.n_train) == (OVERALL, 64)]
    small, large = result.bases
    tokens = sum(r.tokens for r in small.result.runs if (r.arm, r.seed) == ("random", 0))
    assert row.cost.inference_ratio == pytest.approx(large.parameters / small.parameters)
    assert row.cost.data_flops == pytest.approx(2 * row.cost.flops), "twice the tokens, where not trained"
    assert 6 * small.parameters * tokens > row.cost.flops > 0.4 * 6 * small.parameters * tokens
    assert row.cost.data_money == pytest.approx(12.5 * 64 / 1000)
    measured = {
        base.name: [
            p.value for p in base.result.points
            if (p.type, p.arm, p.metric, p.n_train) == (OVERALL, "random", "bits_per_byte", 64)
        ]
        for base in result.bases
    }  # fmt: skip
    lead = sum(measured["little"]) / 2 - sum(measured["whole"]) / 2
    assert row.model.gain == pytest.approx(lead, abs=0.5 * (row.model.high - row.model.low))
    # Medians of draws do not add up to the last digit; what runs measured does.
    blur = 0.2 * (row.absolute.high - row.absolute.low)
    assert row.absolute.value == pytest.approx(row.model.gain - row.data.gain, abs=blur)
    (inside,) = [row for row in rows if (row.type, row.n_train) == (OVERALL, 32)]
    assert inside.absolute.value == pytest.approx(inside.model.gain - inside.data.gain)
    assert row.model.low > 0, "a random model is far behind"


def test_the_error_over_items_is_that_of_paired_differences(several: Several) -> None:
    """By hand from the judgements: mean over seeds of each item's difference, clustered by group."""
    from assay import data
    from assay.study._bases import _cells, _paired_se
    from assay.study.steps import MeasuredRun, run_parts

    path, _ = several
    store = Store(path.parent / "store", create=False)
    whole = graph(path)
    final = whole.final
    inputs = {name: store.path(step.key) for name, step in final.inputs.items()}
    runs: dict[str, list[MeasuredRun]] = {"little": [], "whole": []}
    parts = run_parts(inputs)
    for index, row in enumerate(final.config["runs"]):
        runs[row["base"]].append(MeasuredRun(parts[index], row))
    items = list(data.Dataset(inputs["evaluation"] / "dataset"))
    small, large = (_cells(runs[name])["random", 64] for name in ("little", "whole"))
    found = dict(_paired_se(small, large, items))
    tables = [[run.judgements for run in side] for side in (small, large)]
    own, other = (
        polars.concat(t for t in side if t is not None).filter(polars.col("type") == "code")
        .group_by("item", "group", maintain_order=True).agg(polars.col("score").mean())
        for side in tables
    )  # fmt: skip
    moved = other.join(own, on="item", suffix="_small").select(
        polars.coalesce("group", "item").alias("cluster"), (polars.col("score") - polars.col("score_small"))
    )
    n = len(moved)
    sums = (
        moved.with_columns(polars.col("score") - polars.col("score").mean())
        .group_by("cluster").agg(polars.col("score").sum() / n)["score"]
    )  # fmt: skip
    expected = math.sqrt(len(sums) / (len(sums) - 1) * float((sums**2).sum()))
    assert found["code", "score"] == pytest.approx(expected)
    both = [found[kind, "score"] for kind in ("classification", "code")]
    assert found[OVERALL, "score"] == pytest.approx(math.hypot(*both) / 2)


def test_reports_stand_beside_each_other_and_can_be_written_again(several: Several, tmp_path: Path) -> None:
    path, result = several
    out = path.parent / "report"
    assert view.load_study(out / "result.json") == result
    for base in result.bases:
        assert view.load_result(out / base.name / "result.json") == base.result
        assert (out / base.page).is_file()
        assert (out / base.name / "models.json").is_file()
    points = polars.read_csv(out / "points.csv")
    assert points["base"].unique().sort().to_list() == ["little", "whole"]
    assert len(points) == sum(len(base.result.points) for base in result.bases)
    view.write_report(result, tmp_path)
    for name in ("report.html", "report.md", "result.json", "points.csv"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()
    with pytest.raises(AssayError, match="several bases"):
        view.load_result(out / "result.json")


def test_a_model_of_one_of_the_bases_is_found_by_name(several: Several, bases: dict[str, Any]) -> None:
    from assay.study import find_model

    path, _ = several
    place = find_model("report/little:random/16", runs=path.parent)
    assert place.label == "report/little:random/16/seed0"
    assert (place.folder / "config.json").is_file()
    assert find_model("report/little:base", runs=path.parent).folder == Path(bases["little"])
    with pytest.raises(AssayError, match="report/whole"):
        find_model("report:random/16", runs=path.parent)


def test_again_everything_is_cached(several: Several) -> None:
    path, result = several
    plan = study.plan(path)
    assert plan.plan.total.to_do == 0
    assert plan.models == sum(len(base.result.runs) for base in result.bases)
    assert plan.trained_samples == sum(base.result.cost.trained_samples for base in result.bases)
    assert study.run(path) == result


def test_what_knows_nothing_of_bases_takes_the_first(
    several: Several, bases: dict[str, Any], tmp_path: Path
) -> None:
    path, _ = several
    config = study.load(path)
    assert (config.base, config.recipe) == (bases["little"], config.bases["little"].recipe)
    alone = study.load(path, [f"base={json.dumps(bases['little'])}"])
    assert alone.bases == {}
    assert alone.recipe == config.recipe
    found = run_one(replace(config, where=replace(config.where, out=str(tmp_path))))
    assert isinstance(found, StudyResult)
    assert found.points == several[1].bases[0].result.points


def test_settings_from_the_command_line_reach_a_base(several: Several) -> None:
    path, _ = several
    changes = ["base.little.recipe.learning_rate=2e-3", "base.whole.recipe.epochs=2"]
    config = study.load(path, changes)
    assert [b.recipe.learning_rate for b in config.bases.values()] == [2e-3, 1e-3]
    assert [b.recipe.epochs for b in config.bases.values()] == [1, 2]


@pytest.mark.parametrize(
    ("base", "place", "word"),
    [
        ({"one": "pocket"}, "base", "two names"),
        ({"one": "pocket", "two": {}}, "base.two", "model"),
        ({"one": "pocket", "two": {"model": "pocket", "speed": 1}}, "base.two.speed", "recipe"),
        ({"one": "pocket", "two": {"model": "pocket", "recipe": {"epoch": 1}}}, "base.two.recipe", "epochs"),
        ({"one": "pocket", "two": {"model": "pocket", "recipe": 7}}, "base.two.recipe", "preset"),
        ({"one": "pocket", "two": {"model": "pocket", "arms": ["soft"]}}, "base.two.arms", "hard"),
        ({"one": "pocket", "../up": "pocket"}, "base.../up", "folder"),
        ({"one": "pocket", "base": "pocket"}, "base.base", "another name"),
        ({"one": "pocket", "two": "no/such"}, "base", "no/such"),
    ],
)
def test_wrong_bases_name_their_place_and_the_mend(
    several: Several, tmp_path: Path, writer: Writer, base: Any, place: str, word: str
) -> None:
    path = writer(tmp_path, **SETTINGS, base=base, where={"store": str(several[0].parent / "store")})
    with pytest.raises(AssayError) as caught:
        study.plan(path)
    assert place in (caught.value.place or ""), caught.value
    assert word in str(caught.value), caught.value
