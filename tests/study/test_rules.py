"""A rule is designed, fitted and tried, and a size searched, on small real runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from test_study import jsonl, rows_of

import assay
from assay import study, view
from assay.core import AssayError, RulePage, RuleSlope
from assay.indicators import read_rule


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all: what a test has trained, the next one need not train again."""
    return tmp_path_factory.mktemp("rules") / "store"


@pytest.fixture
def rule_file(
    study_file: Callable[..., Path], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "pool.jsonl", rows_of(240, 0))
    for name, seed in (("items", 1), ("trial", 2), ("probe", 3)):
        jsonl(tmp_path / f"{name}.jsonl", rows_of(10, seed, "eval"))
    return study_file(
        name="mine", pool="pool.jsonl", evaluation="trial.jsonl", measure={"answers": False, "text": False},
        ladder={"rungs": [32], "seeds": 1},
        models={"embedder": "lexical"},
        arms={"long": {"rule": "top", "by": "len_in"}},
        rule={"indicators": ["len_in", "knn"], "evaluation": "items.jsonl", "n": 32, "runs": 8, "doubled": 2},
        search={"arm": "long", "evaluation": "probe.jsonl", "low": 8, "high": 64, "runs": 5},
        where={"store": str(store)},
    )  # fmt: skip


@pytest.mark.long
def test_a_rule_from_design_to_trial(rule_file: Path, tmp_path: Path) -> None:
    made = assay.rule.design(rule_file)
    assert (made.runs, made.n, made.way) == (10, 32, "tilted")
    assert {p.name for p in made.power} == {"len_in", "knn"} and all(p.detectable > 0 for p in made.power)
    folder = Path(made.folder)
    assert len(list(folder.glob("row*.ids"))) == 10
    assert not (folder / "losses.json").exists(), "nothing is trained by a design"

    with pytest.raises(AssayError, match="not trained"):
        assay.rule.fit(rule_file)
    trained = assay.rule.run(rule_file)
    losses = json.loads(Path(trained.path).read_text())["log_loss"]
    assert len(losses) == trained.subsets == 10 and trained.runs == 12 and trained.hours > 0
    assert len(losses["row000"]) == 3 and trained.noise is not None
    with pytest.raises(AssayError, match="other settings"):
        assay.rule.fit(rule_file, set=["rule.tilt=0.5"])
    fitted = assay.rule.fit(rule_file)
    assert fitted.noise == trained.noise
    assert all(len(losses[f"row{i:03}"]) == 1 for i in range(1, 10))
    assert fitted.runs == 8 and fitted.linearity is not None and fitted.linearity.runs == 2
    rule = read_rule(Path(fitted.path))
    assert set(rule.coefficients) == {"len_in", "knn"} and rule.direction == -1
    assert rule.models["embedder"].name == "lexical" and rule.models["embedder"].digest
    assert rule.models["neighbour"].name == "6" and "base" not in rule.models, "no value depends on the base"
    for name, found in rule.ranges.items():
        low, high = found.samples
        assert low <= found.subsets[0] < found.subsets[1] <= high, name
    assert "not tried against random samples" in str(rule.told()[-1]), "wherever it is used"
    assert Path(fitted.page).read_text().startswith("<!doctype html>")
    assert assay.rule.run(rule_file) == trained, "everything comes from the store"
    assert assay.rule.fit(rule_file) == fitted

    tried = assay.rule.check(rule_file)
    written = json.loads(Path(tried.path).read_text())
    assert written["check"]["verdict"] == tried.verdict
    assert not any("not tried" in str(text) for text in read_rule(Path(tried.path)).told())
    assert {c.a for c in tried.comparisons} == {"top", "top-matched", "bottom"}
    assert all(c.seeds >= 3 for c in tried.comparisons)
    assert Path(tried.page).exists() and tried.verdict in (folder / "rule.html").read_text()
    picked = assay.select(
        ["pool.jsonl"], out=tmp_path / "best.jsonl", n=20, by=tried.path,
        models=assay.Models(embedder="lexical"),
    )  # fmt: skip
    assert picked.files[0].rows == 20
    passed = written["check"]["kind"] == "verdict.beats"
    assert any(tried.verdict in str(note) for note in picked.notes) != passed
    assert {f"Rule mine: {text}" for text in fitted.warnings} <= set(map(str, picked.notes))
    with pytest.raises(AssayError, match="fitted with other models"):
        assay.select(["pool.jsonl"], out=tmp_path / "no.jsonl", n=20, by=tried.path,
                     models=assay.Models(embedder="lexical", neighbour=3))  # fmt: skip
    forced = assay.select(
        ["pool.jsonl"], out=tmp_path / "forced.jsonl", n=20, by=tried.path,
        models=assay.Models(embedder="lexical", neighbour=3, other_models=True),
    )  # fmt: skip
    assert "Rule mine: applied with neighbour 3, fitted with 6" in map(str, forced.notes)
    arm = ["arms.best.rule=top", f"arms.best.by={tried.path}", "ladder.rungs=[16]"]
    plan = study.plan(study.load(rule_file, arm))
    assert {f"Rule mine: {text}" for text in fitted.warnings} <= set(map(str, plan.notes)), (
        "an arm says it too"
    )
    with pytest.raises(AssayError, match="fitted with other models"):
        study.plan(study.load(rule_file, [*arm, "models.neighbour=3"]))


def test_mixtures_need_no_length_classes(rule_file: Path) -> None:
    made = assay.rule.design(rule_file, set=["rule.way=mixtures", "rule.runs=6"])
    assert made.way == "mixtures" and made.runs == 6


@pytest.mark.long
def test_a_size_is_searched_on_one_set_and_reported_on_another(rule_file: Path) -> None:
    report = assay.search(rule_file)
    (found,) = report.found
    assert 2 <= len(found.observations) <= 5 and all(8 <= o.size <= 64 for o in found.observations)
    assert found.samples == sum(o.size for o in found.observations)
    assert found.choice.low <= found.choice.size <= found.choice.high
    assert found.reported > 0 and found.random > 0 and report.seeds == 3
    assert json.loads(Path(report.out).read_text())["found"][0]["choice"]["size"] == report.choice.size
    trained = [o.size for o in found.observations]
    assert min(trained) <= found.choice.size <= max(trained)
    assert found.ahead.value == pytest.approx(found.random - found.reported)
    assert found.ahead.low < found.ahead.value < found.ahead.high
    said = {"better": "beats random", "worse": "worse than random", "undecided": "Not shown to beat random"}
    assert said[report.word] in Path(report.page).read_text()
    assert assay.search(rule_file) == report
    assert f"{found.choice.size:,} samples" in Path(report.page).read_text()


@pytest.mark.long
def test_both_searches_have_one_budget_and_stand_beside_random_and_all_data(rule_file: Path) -> None:
    report = assay.search(rule_file, set=['search.method=["ladder", "blendsearch"]'])
    ladder, blend = report.found
    (alone,) = assay.search(rule_file).found
    assert (ladder.method, blend.method) == ("ladder", "blendsearch")
    assert ladder.observations == alone.observations and len(blend.observations) <= 5
    best = min(blend.observations, key=lambda o: o.loss)
    assert blend.choice.size == best.size, "as in the paper: the best run"
    assert report.full is not None and report.full_samples is not None
    assert report.full_samples > max(o.size for o in ladder.observations)
    for found in report.found:
        assert found.over_full is not None
        assert found.over_full.value == pytest.approx(report.full - found.reported)
    shown = Path(report.page).read_text()
    for said in ("blendsearch", "all samples", f"all {report.full_samples:,} samples", f"{report.full:.4f}"):
        assert said in shown
    without = assay.search(rule_file, set=["search.full=false"])
    assert without.full is None and "all samples" not in Path(without.page).read_text()


@pytest.mark.long
def test_all_that_a_file_asks_for_in_one_command(rule_file: Path) -> None:
    own = ["arms.best.rule=top", "arms.best.by=rule"]
    plan = assay.study.plan(rule_file, set=own)
    said = " ".join(map(str, map(view.said, plan.notes)))
    assert "best selects by this study's own rule" in said and "12 models of its subsets" in said
    assert "at most 5 runs and 320 sample passes" in said
    with pytest.raises(AssayError, match="not fitted yet") as error:
        assay.study.run(rule_file, set=own)
    assert "assay study whole" in str(error.value)
    with pytest.raises(AssayError, match="has no rule"):
        assay.study.plan(rule_file, set=[*own, "rule=null"])

    found = assay.study.whole(rule_file, set=own)
    assert found.rule is not None and found.search is not None
    assert found.rule.fitted.verdict is not None and found.rule.fitted.trial == found.rule.comparisons
    assert {"random", "long", "best"} <= {row.name for row in found.study.arms}
    text = Path(found.page).read_text()
    for part in (found.rule.verdict, f"{found.search.choice.size:,} samples", "Rule, study and search"):
        assert part in text
    assert not any("own rule" in view.said(note) for note in assay.study.plan(rule_file, set=own).notes)
    assert assay.study.whole(rule_file, set=own) == found, "everything comes from the store"


def test_a_report_counts_what_lies_outside_a_rules_fit(rule_file: Path, tmp_path: Path) -> None:
    written = {
        "name": "narrow", "predicts": "log loss", "direction": -1, "intercept": 0.0, "source": "test",
        "coefficients": {"len_in": 0.1}, "ranges": {"len_in": {"samples": [0, 1], "subsets": [0, 1]}},
        "warnings": ["fitted on one word"], "check": None,
    }  # fmt: skip
    (tmp_path / "narrow.json").write_text(json.dumps(written))
    arm = ["arms.long.by=narrow.json", "rule=null", "search=null", "recipe_check=false"]
    said = [view.said(note) for note in study.run(rule_file, set=arm, pool="inline").notes]
    assert "Rule narrow: fitted on one word" in said and len(said) == len(set(said))
    assert any("samples lie outside the range it was fitted on" in text for text in said)


@pytest.mark.parametrize("known", [True, False])
def test_slopes_between_and_within_sources_are_shown_only_where_known(known: bool) -> None:
    apart = (0.25, 0.5) if known else (None, None)
    slope = RuleSlope("len_in", 0.1, 0.0, 0.2, 1.0, 0.1, 0.03, 1.0, *apart)
    shown = RulePage("mine", "pocket", 8, (slope,), 0.5, 0.1, None, 0.5, 0.1, (1.0,), (1.0,), (False,))
    text = view.value_markdown(shown, "en")
    assert [word in text for word in ("Between", "Within", "within them", "+0.25")] == [known] * 4


def test_no_item_is_in_two_sets(rule_file: Path) -> None:
    with pytest.raises(AssayError, match="used twice"):
        assay.rule.design(rule_file, set=["search.evaluation=items.jsonl"])
    folder = rule_file.parent
    jsonl(folder / "mixed.jsonl", [*rows_of(10, 3, "eval"), *rows_of(2, 1, "eval")])
    with pytest.raises(AssayError, match="in two evaluation sets"):
        assay.rule.design(rule_file, set=["search.evaluation=mixed.jsonl"])


def test_what_is_missing_in_the_file_is_named(rule_file: Path) -> None:
    with pytest.raises(AssayError, match="no rule"):
        assay.rule.design(rule_file, set=["rule=null"])
    with pytest.raises(AssayError, match="no search"):
        assay.search(rule_file, set=["search=null"])
    with pytest.raises(AssayError, match="no such arm"):
        assay.search(rule_file, set=["search.arm=short"])


def test_a_selection_made_elsewhere_is_an_arm(study_file: Callable[..., Path], tmp_path: Path) -> None:
    rows = rows_of(64, 0)
    jsonl(tmp_path / "pool.jsonl", rows)
    jsonl(tmp_path / "items.jsonl", rows_of(8, 1, "eval"))
    jsonl(tmp_path / "mine.jsonl", rows[5:30])
    options = {
        "pool": "pool.jsonl",
        "evaluation": "items.jsonl",
        "measure": {"answers": False, "text": False},
        "baselines": False,
    }
    arms = {"mine": {"rule": "file", "file": "mine.jsonl"}}
    result = study.run(study_file(name="f", ladder={"rungs": [16], "seeds": 1}, arms=arms, **options))
    assert {p.arm for p in result.points} == {"base", "random", "mine"}
    with pytest.raises(AssayError, match="too few samples of the pool"):
        study.run(study_file(name="f", ladder={"rungs": [40], "seeds": 1}, arms=arms, **options))
