"""What a watched study shows is of the models it has now, not of as many that it had before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from assay import curves
from assay.core import StudyResult
from assay.study._find import read_models
from assay.study._forming import Forming


def test_points_are_those_of_the_models_at_hand(small_study: tuple[Path, StudyResult]) -> None:
    path, _ = small_study
    whole, forming = read_models(path.parent / "report"), Forming()
    some = [replace(whole, models=tuple(m for m in whole.models if m.seed == seed)) for seed in (0, 1)]
    assert len(some[0].models) != len(whole.models)
    others = [replace(one, models=one.models[-3:]) for one in some]
    assert forming.known(others[0]).points == ()
    first, second = (forming.now(one) for one in others)
    assert first.models == second.models == 3
    assert {p.seed for p in first.points} == {0} and {p.seed for p in second.points} == {1}
    assert forming.known(others[0]).points == (), "as many were fitted, but others"
    assert forming.known(others[1]).points == second.points


def test_what_is_planned_is_counted_anew(small_study: tuple[Path, StudyResult]) -> None:
    path, _ = small_study
    whole, forming = read_models(path.parent / "report"), Forming()
    part = replace(whole, models=whole.models[:4])
    fitted = forming.now(part)
    unknown = replace(whole.models[0], answer="0" * 64)
    more = replace(part, models=(*part.models, unknown))
    assert (fitted.planned, forming.known(more).planned, forming.now(more).planned) == (4, 5, 5)
    assert forming.now(more).points == fitted.points


def test_curves_are_those_of_the_metric_of_the_answer(small_study: tuple[Path, StudyResult]) -> None:
    path, _ = small_study
    formed = Forming().now(read_models(path.parent / "report"))
    every = curves.read_curves(formed.points).curves
    assert {c.metric for c in every} > {"score"}
    assert list(formed.curves) == [c for c in every if c.metric == "score"]
