"""A study file from a look at the data: it loads, can be planned, and says what it did."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import assay
from assay import study
from assay.core import AssayError
from assay.jobs import _new
from assay.view import print_value


def pool(folder: Path, n: int, name: str = "pool.jsonl") -> Path:
    rows = [
        {"instruction": f"Name thing number {k} of kind {k % 7}.", "output": f"It is thing {k}.", "type": t}
        for k in range(n)
        for t in [("math", "code")[k % 2]]
    ]
    (folder / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder / name


def test_a_study_of_a_pool_alone_can_be_planned(tmp_path: Path) -> None:
    made = assay.new(str(pool(tmp_path, 600)), out=tmp_path / "mine.yaml", items=40)
    assert made.split == (str(tmp_path / "mine-eval.jsonl"), str(tmp_path / "mine-pool.jsonl"))
    assert made.rungs[-1] < made.samples <= 560 and made.rungs == tuple(sorted(made.rungs))
    found = study.load(tmp_path / "mine.yaml")
    assert (found.name, found.base, found.ladder.seeds) == ("mine", "pocket", 3)
    assert found.ladder.rungs == made.rungs
    plan = study.plan(tmp_path / "mine.yaml")
    assert plan.models >= 3 * len(made.rungs), "all sizes are within the pool, control slice and all"
    shown = io.StringIO()
    print_value(made, Console(file=shown, width=200, color_system=None))
    assert f"assay study plan {made.out}" in shown.getvalue() and "560 samples" in shown.getvalue()


def test_a_set_of_its_own_is_taken_and_nothing_is_split(tmp_path: Path) -> None:
    items = pool(tmp_path, 40, "items.jsonl")
    made = assay.new(
        str(pool(tmp_path, 300)), out=tmp_path / "a b'c.yaml", evaluation=(str(items),),
        base="some/model", seeds=2, smallest_gain=0.02, language="zh",
    )  # fmt: skip
    assert made.split is None and sorted(p.name for p in tmp_path.iterdir()) == [
        "a b'c.yaml", "items.jsonl", "pool.jsonl",
    ]  # fmt: skip
    found = study.load(tmp_path / "a b'c.yaml")
    assert (found.name, found.base, found.language) == ("a b'c", "some/model", "zh")
    assert (found.question.smallest_gain, found.ladder.seeds) == (0.02, 2)


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    file = pool(tmp_path, 600)
    (tmp_path / "mine.yaml").write_text("name: old")
    with pytest.raises(AssayError, match="there already"):
        assay.new(str(file), out=tmp_path / "mine.yaml")
    (tmp_path / "other-eval.jsonl").write_text("{}")
    with pytest.raises(AssayError, match="there already"):
        assay.new(str(file), out=tmp_path / "other.yaml")
    assert (tmp_path / "mine.yaml").read_text() == "name: old" and not (tmp_path / "other.yaml").exists()
    with pytest.raises(AssayError, match="not a study file"):
        assay.new(str(file), out=tmp_path / "mine.jsonl")


def test_too_little_is_refused_with_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="too small to split"):
        assay.new(str(pool(tmp_path, 100)), out=tmp_path / "a.yaml")
    items = pool(tmp_path, 40, "items.jsonl")
    with pytest.raises(AssayError, match="too small for a ladder"):
        assay.new(str(pool(tmp_path, 60)), out=tmp_path / "a.yaml", evaluation=(str(items),))
    assert not (tmp_path / "a.yaml").exists()
    least = next(n for n in range(1000) if len(_new._sizes(n)) >= 3)
    assert len(_new._rungs(least, "pool")) == 3


def test_questions_keep_what_is_in_brackets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\nfive\n5\n0.03\n"))
    assay.new(str(pool(tmp_path, 600)), out=tmp_path / "mine.yaml", items=40, ask=True)
    found = study.load(tmp_path / "mine.yaml")
    assert (found.base, found.ladder.seeds, found.question.smallest_gain) == ("pocket", 5, 0.03)


@given(st.integers(160, 10**8))
def test_sizes_double_and_leave_room(samples: int) -> None:
    rungs = _new._rungs(samples, "pool")
    assert 3 <= len(rungs) <= 6 and rungs[0] >= 32 and rungs[-1] <= 0.85 * samples
    assert all(1.7 < b / a < 2.3 for a, b in pairwise(rungs))
