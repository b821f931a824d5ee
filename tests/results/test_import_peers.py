"""Results that other tools wrote (recipes/imports made them): the points are those of the numbers by hand."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

import assay
from assay import curves
from assay.core import BASE_ARM, Point
from assay.view import load_result

PEERS = Path(__file__).parent / "peers"
SIZES, SEEDS = (64, 128, 256, 512, 1024), (0, 1)


def results(tool: str = "trl") -> dict[tuple[int, int], dict[str, float]]:
    """Return all_results.json of each run, by size and seed, read without Assay."""
    return {
        (n, s): json.loads((PEERS / tool / f"{name}-{n}-s{s}" / "all_results.json").read_text("utf-8"))
        for n in SIZES for s in SEEDS for name in ["factory" if tool == "llamafactory" else tool]
    }  # fmt: skip


def samples(task: str, metric: str) -> dict[tuple[int, int], dict[str, float]]:
    """Return the values of lm-evaluation-harness's documents by size and seed, read without Assay."""
    found = {}
    for n in SIZES:
        for s in SEEDS:
            (file,) = (PEERS / "lm_eval" / f"runs__trl-{n}-s{s}").glob(f"samples_{task}_*.jsonl")
            rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
            found[n, s] = {row["doc_hash"]: row[metric] for row in rows}
    return found


def values(points: tuple[Point, ...], kind: str, metric: str) -> dict[tuple[int, int], float]:
    return {
        (p.n_train, p.seed): p.value for p in points if (p.type, p.metric) == (kind, metric) and p.n_train
    }


@pytest.mark.parametrize(
    "places", [["trl"], ["mlflow"], ["trackio"], ["tensorboard"], ["trl", "mlflow", "trackio", "tensorboard"]]
)
def test_one_training_seen_by_four_tools_is_one_ladder(places: list[str]) -> None:
    found = assay.import_runs([PEERS / place for place in places])
    assert {p.metric for p in found.points} == {"loss"} and len(found.points) == len(found.runs) == 10
    own = values(found.points, "overall", "loss")
    for key, result in results().items():
        assert own[key] == pytest.approx(result["eval_loss"], rel=1e-6)
    assert {run.arm for run in found.runs} == {"trl"}, "one recipe, whichever tool tells it"
    by_hand = [Point("overall", n, s, "loss", v, arm="trl", run=f"trl-{n}-s{s}") for (n, s), v in own.items()]
    assert found.reading == curves.read_curves(by_hand, baseline="trl")


def test_a_trackers_run_that_is_no_training_is_left_out_and_named() -> None:
    found = assay.import_runs(PEERS / "mlflow")
    names = {note.values["run"] for note in found.left_out}
    assert names == {"chill-owl-867", "overjoyed-slug-911"}, "evaluations after training that MLflow named"


def test_llama_factory() -> None:
    found = assay.import_runs(PEERS / "llamafactory")
    own = values(found.points, "overall", "loss")
    assert own == {key: result["eval_loss"] for key, result in results("llamafactory").items()}
    assert {run.base for run in found.runs} == {"pocket"} and {run.arm for run in found.runs} == {"factory"}


def test_lm_evals_items_reach_the_points() -> None:
    found = assay.import_runs(PEERS / "lm_eval", base="pocket")
    assert {p.type for p in found.points} == {"testbed_choice", "testbed_answer", "overall"}
    for task, metric in (("testbed_choice", "acc"), ("testbed_answer", "exact_match")):
        items = samples(task, metric)
        shares = []
        for seed in SEEDS:
            table = np.array([list(items[n, seed].values()) for n in SIZES]).T
            shares.append(curves.own_share(table - table.mean(axis=0), np.array(SIZES, float)))
        for point in (p for p in found.points if p.type == task and p.arm != BASE_ARM):
            own = list(items[point.n_train, point.seed].values())
            assert point.value == pytest.approx(np.mean(own))
            assert point.se == pytest.approx(np.std(own, ddof=1) / math.sqrt(len(own)))
            assert point.n_eval == len(own)
            assert point.own_share == pytest.approx(np.mean([share for share in shares if share is not None]))
    base = [p for p in found.points if p.arm == BASE_ARM]
    assert len(base) == 3 and {p.n_train for p in base} == {0}


def test_paired_errors_are_used() -> None:
    found = assay.import_runs(PEERS / "lm_eval")
    unpaired = [
        Point(**{f: getattr(p, f) for f in Point.__slots__} | {"own_share": 1.0}) for p in found.points
    ]
    arms = [p for p in found.points if p.type == "testbed_choice"]
    again = [Point(**{f: getattr(p, f) for f in Point.__slots__} | {"arm": "other"}) for p in arms]
    half = [
        Point(**{f: getattr(p, f) for f in Point.__slots__} | {"own_share": 0.5}) for p in [*arms, *again]
    ]
    whole = [Point(**{f: getattr(p, f) for f in Point.__slots__} | {"own_share": 1.0}) for p in half]
    assert curves.read_curves(unpaired).curves != found.reading.curves
    pairs = [curves.compare_arms(own, baseline="trl") for own in (half, whole)]
    assert all(a.high - a.low < b.high - b.low for a, b in zip(*pairs, strict=True))


def test_points_written_are_read_by_curve_to_the_same_reading(tmp_path: Path) -> None:
    found = assay.import_runs([PEERS / "lm_eval", PEERS / "trl"], out=tmp_path / "points.csv")
    again = assay.curve(tmp_path / "points.csv")
    assert again.curves == found.reading.curves
    assert assay.read_points(tmp_path / "points.csv")[0].own_share == found.points[0].own_share


def test_inspect_logs() -> None:
    from inspect_ai.log import read_eval_log

    found = assay.import_runs(PEERS / "inspect")
    by_hand = {}
    for file in (PEERS / "inspect").glob("*.eval"):
        log = read_eval_log(str(file))
        name = re.fullmatch(r"runs/trl-(\d+)-s(\d)", log.eval.model_args["model_path"])
        assert name is not None and log.results is not None
        by_hand[int(name[1]), int(name[2])] = log.results.scores[0].metrics["mean"].value
    assert (
        values(found.points, "overall" if len({p.type for p in found.points}) > 1 else "answers", "score")
        == by_hand
    )
    assert all(run.items for run in found.runs)


def test_a_failed_log_is_no_result(tmp_path: Path) -> None:
    from inspect_ai.log import read_eval_log, write_eval_log

    files = sorted((PEERS / "inspect").glob("*.eval"))[:4]
    for place, file in enumerate(files):
        log = read_eval_log(str(file))
        log.status = "error" if place == 0 else "success"
        write_eval_log(log, str(tmp_path / file.name))
    found = assay.import_runs(tmp_path)
    assert len(found.runs) == 3
    assert [note.values["reason"].values["status"] for note in found.left_out] == ["error"]


def test_checkpoints_inside_a_run_are_no_rungs() -> None:
    found = assay.import_runs(PEERS / "trl")
    (note,) = [n for n in found.notes if n.key == "import.note.checkpoints"]
    assert note.values == {"runs": 10, "n": 20} and {run.n_train for run in found.runs} == set(SIZES)


def test_the_report_is_a_studys_without_what_nobody_knows(tmp_path: Path) -> None:
    assay.import_runs([PEERS / "lm_eval", PEERS / "trl"], report=tmp_path / "ours", language="zh")
    html = (tmp_path / "ours" / "report.html").read_text("utf-8")
    assert 'id="curves"' in html and 'lang="zh-Hans"' in html and "运行来自" in html
    assert not re.search('id="(cost|data|answers|loss)"', html) and 'href="#cost"' not in html
    result = load_result(tmp_path / "ours" / "result.json")
    assert set(result.imported) == {"trainer", "lm_eval"} and result.models == 10
    assert (tmp_path / "ours" / "report.md").read_text("utf-8").count("检查点") == 1


def test_arms_without_the_answers_metric_have_no_empty_table(tmp_path: Path) -> None:
    assay.import_runs([PEERS / "lm_eval", PEERS / "llamafactory"], report=tmp_path / "ours")
    text = (tmp_path / "ours" / "report.md").read_text("utf-8")
    assert "Verdicts by type, arm “trl”" in text and "Verdicts by type, arm “factory”" not in text
    assert "factory" in text, "its losses are there"


def test_the_command_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from assay import cli

    with pytest.raises(SystemExit):
        cli.main(["import", str(PEERS / "trl"), "--out", str(tmp_path / "p.parquet"), "--json"])
    said: Any = json.loads(capsys.readouterr().out)
    assert len(said["points"]) == 10 and polars.read_parquet(tmp_path / "p.parquet").height == 10
