"""Mixtures of a real pool: designed, trained once, fitted from the table that the run or anyone wrote."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

import assay
from assay.core import AssayError, StudyResult
from assay.study._run import load
from assay.view import value_markdown


@pytest.fixture
def mix_file(study_file: Callable[..., Path]) -> Path:
    return study_file(
        measure={"answers": False, "text": False},
        ladder={"rungs": [16, 32], "seeds": 2},
        mix={"n": 32, "centres": 4},
    )


@pytest.mark.long
def test_mixtures_from_design_to_effects(small_study: tuple[Path, StudyResult]) -> None:
    path, result = small_study
    asked = ["mix.n=32", "mix.centres=4"]
    planned = assay.mix.design(path, set=asked)
    assert planned.noise and {one.runs for one in planned.learned} == {4}, "the ladder's seeds tell the noise"
    given = assay.mix.design(path, set=[*asked, "mix.sd=0.1"])
    assert {one.sd for one in given.noise} == {0.1} and not given.learned
    assert planned.names == ("classification", "code") and sum(planned.base) == planned.n == 32
    assert planned.runs == 8 and planned.shared == 2 and planned.types == 2
    for low, base, high in zip(planned.least, planned.base, planned.most, strict=True):
        assert low < base < high
    design = json.loads((Path(planned.folder) / "design.json").read_text())
    files = sorted(Path(planned.folder).glob("mix*.ids"))
    assert len(files) == 4 and len(design["counts"]) == 8
    for file, counts in zip(files, design["counts"], strict=False):
        ids = file.read_text().split()
        assert len(ids) == len(set(ids)) == sum(counts)
    with pytest.raises(AssayError, match="not trained"):
        assay.mix.fit(path, set=asked)

    trained = assay.mix.run(path, set=asked)
    assert trained.runs == 8 and trained.types == 2 and trained.hours > 0
    assert assay.mix.design(path, set=asked).cost.total.to_do == 0
    (first,) = (
        row for row in Path(trained.path).read_text().splitlines() if row.startswith("random-32-seed1")
    )
    (own,) = (p for p in result.points if (p.n_train, p.seed, p.metric, p.type) == (32, 1, "score", "code"))
    assert f"{own.value}" in first.split(","), "a base run is the ladder's"

    found = assay.mix.fit(path, set=asked)
    assert {(e.part, e.type) for e in found.fit.effects if e.own} == {("code",) * 2, ("classification",) * 2}
    assert not found.fit.loss and Path(str(found.page)).read_text().startswith("<!doctype html>")
    again = assay.mix.fit(trained.path)
    assert again.fit == found.fit and again.path is None, "a table is fitted as a study is, nothing written"
    again = assay.mix.confirm(path, scale=0.5, most=1, set=asked).found
    (row,) = again.rows
    assert (again.n, again.before, again.runs) == (16, 32, 4) and row.part != row.type
    assert row.low <= row.again <= row.high and 0 <= row.p <= 1
    assert assay.mix.fit(path, set=asked).shown.again == again, "the report has the second size"
    with pytest.raises(AssayError, match="not a second size"):
        assay.mix.confirm(path, scale=1.0, set=asked)
    divided = assay.mix.allocate(path, 60, weights={"code": 1.0}, set=asked)
    assert sum(divided.allocation.counts) == 60 == len(Path(divided.path).read_text().split())
    assert {row.name for row in divided.allocation.against} == {"equal", "pool"}
    tried = assay.mix.allocate(path, 60, weights={"code": 1.0}, runs=2, set=asked)
    assert tried.allocation == divided.allocation and {row.name for row in tried.tried} == {"equal", "pool"}
    assert all(row.low < row.gain < row.high for row in tried.tried), "what runs show has an interval"
    assert "Trained on 60 samples" in value_markdown(tried)
    with pytest.raises(AssayError, match="nothing of noise"):
        assay.mix.allocate(path, 60, runs=1, set=asked)
    with pytest.raises(AssayError, match="too few samples"):
        assay.mix.allocate(path, 400, set=asked)
    with pytest.raises(AssayError, match="not a name and a number"):
        assay.mix.allocate(path, 60, weights=["code"], set=asked)
    bought = assay.study.next(path, "20 samples", set=asked, smallest_gain=1e-6)
    assert bought.basis == "mixtures" and set(bought.plain) == {"equal", "proportional", "weakest"}
    assert sum(row.samples for row in bought.purchase.rows) <= 20
    with pytest.raises(AssayError, match="other settings"):
        assay.mix.fit(path, set=[*asked, "mix.seed=7"])


def test_without_mixtures_the_curve_decides(small_study: tuple[Path, StudyResult]) -> None:
    path, _ = small_study
    found = assay.study.next(path, "40 USD", prices=["generate=0.5"], smallest_gain=1e-9)
    assert found.basis == "curve" and found.unit == "USD" and found.plain == {}
    if found.purchase.advice == "get":
        assert found.commands["generate"].startswith("assay generate")
        assert f"--n {found.purchase.rows[0].samples}" in found.commands["generate"]
    stopped = assay.study.next(path, "40 USD", prices={"buy": 0.5}, smallest_gain=0.9)
    assert stopped.purchase.advice == "stop" and "Stop" in value_markdown(stopped)
    for wrong, match in (("much", "cannot read the budget"), ("0 USD", "above zero")):
        with pytest.raises(AssayError, match=match):
            assay.study.next(path, wrong, prices={"buy": 1.0})
    with pytest.raises(AssayError, match="no part has a price"):
        assay.study.next(path, "40 USD")


def test_a_pool_too_small_is_told_what_fits(mix_file: Path) -> None:
    with pytest.raises(AssayError, match="too few samples") as told:
        assay.mix.design(mix_file, set=["mix.n=120"])
    hint = str(told.value).split("mix.n of at most ")[1].split()[0]
    assert assay.mix.design(mix_file, set=[f"mix.n={int(hint)}"]).n == int(hint)
    with pytest.raises(AssayError, match="no such part"):
        assay.mix.design(mix_file, set=["mix.parts=[poetry]"])


def test_other_factors_and_equal_parts(mix_file: Path) -> None:
    planned = assay.mix.design(mix_file, set=["mix.by=language", "mix.base=equal", "mix.way=single"])
    assert planned.names == ("en", "zh") and planned.base == (16, 16) and planned.shared == 0
    assert len(list(Path(planned.folder).glob("mix*.ids"))) == 8


TABLE = "run,n_math,n_code,score_math,loss_math,score_code,loss_code\n"


def test_tables_are_read_and_bad_cells_named(tmp_path: Path) -> None:
    place = tmp_path / "runs.csv"
    rows = [
        f"r{i},{100 * 2**a},{100 * 2**b},{0.5 + 0.02 * a + 0.001 * (i * 7 % 5)},"
        f"{1 - 0.02 * a - 0.001 * (i % 2)},{0.5 + 0.03 * b + 0.001 * (i % 2)},"
        f"{1 - 0.03 * b + 0.001 * (i % 3)}"
        for i, (a, b) in enumerate([(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)] * 2)
    ]
    place.write_text(TABLE + "\n".join(rows) + "\n")
    score, loss = assay.mix.fit(place), assay.mix.fit(place, metric="loss")
    assert not score.fit.loss and loss.fit.loss
    assert {(e.part, e.type) for e in score.fit.effects if e.shown} == {("math",) * 2, ("code",) * 2}
    place.write_text((TABLE + "\n".join(rows)).replace("r4,100", "r4,many"))
    with pytest.raises(AssayError, match="not a number") as told:
        assay.mix.fit(place)
    assert ":6, n_math" in str(told.value) and "many" in str(told.value)
    place.write_text(TABLE + "\n".join(rows[:4]) + "\n")
    with pytest.raises(AssayError, match="too few mixtures"):
        assay.mix.fit(place)
    place.write_text("a,b\n1,2\n")
    with pytest.raises(AssayError, match="no values"):
        assay.mix.fit(place)
    with pytest.raises(AssayError, match="no such table"):
        assay.mix.fit(tmp_path / "gone.csv")


def test_each_way_has_its_command_and_what_to_run_after(
    small_study: tuple[Path, StudyResult], tmp_path: Path
) -> None:
    path, _ = small_study
    prices = {"generate": 0.5, "annotate": 0.6, "buy": 0.7, "relabel": 0.1}
    few = {"generate": 2, "annotate": 2}
    found = assay.study.next(
        path, "20 USD", prices=prices, available=few, faulty={"all": 0.2}, smallest_gain=-1.0
    )
    if not found.purchase.rows:
        pytest.skip("this curve does not rise")
    assert set(found.commands) == {row.way for row in found.purchase.rows}
    assert found.commands["relabel"].startswith("assay annotate ") and "export" in found.commands["relabel"]
    asked = Path(found.commands["relabel"].split()[2])
    rest = asked.with_name("rest.jsonl")
    (row,) = (row for row in found.purchase.rows if row.way == "relabel")
    lines = asked.read_text().splitlines()
    assert len(lines) == row.samples and not set(lines) & set(rest.read_text().splitlines())
    measure, *again = map(shlex.split, found.after)
    assert measure[:4] == ["assay", "study", "run", str(path)]
    grown = load(path, measure[5::2])
    assert isinstance(grown.pool, tuple) and [Path(p).name for p in grown.pool] == ["rest.jsonl", "new.jsonl"]
    assert grown.name.endswith("-2")
    for command in again:
        assert command[:4] == ["assay", "study", "next", str(path)]
        assert {"generate=0.5", "relabel=0.1", "all=0.2"} <= set(command), "it can be copied as it is"
    shown = value_markdown(found)
    assert all(command in shown for command in found.commands.values())
