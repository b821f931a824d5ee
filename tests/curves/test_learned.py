"""The recipe of the learned prior, on ladders drawn here: those it runs on are not ours to share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from assay.core import Point
from assay.curves._learned import Learned, from_json, learned
from assay.curves._posterior import turned
from assay.curves._table import ladders

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "recipes" / "curves"))
    import learn

    yield learn
    sys.modules.pop("learn")


def drawn(sd: float, count: int = 4) -> list[Point]:
    """Return scores of power laws with one run a size."""
    rng = np.random.default_rng(2)
    k = np.arange(6)
    return [
        Point(f"t{i}", 500 * 2**size, 0, "score", float(value))
        for i in range(count)
        for size, value in enumerate(0.35 + 0.25 * (1 - 2 ** (-0.5 * k)) + sd * rng.standard_normal(6))
    ]


def test_noisier_ladders_teach_more_noise(recipe: ModuleType) -> None:
    quiet, noisy = (recipe.fit("score", ladders(drawn(sd))) for sd in (0.004, 0.04))
    assert noisy.noise_centre > quiet.noise_centre + 0.5
    for prior in (quiet, noisy):
        assert prior.cell_weight.sum() == pytest.approx(1)
        assert sum(prior.family_weight.values()) == pytest.approx(1)
        assert prior.cell_weight[0] == pytest.approx(recipe.EXACT["score"])


def test_the_shipped_prior_is_written_without_loss(recipe: ModuleType) -> None:
    for kind in ("score", "loss"):
        prior = learned(kind)
        again = from_json(json.loads(json.dumps(recipe.as_json(prior))))
        assert asdict(again).keys() == asdict(prior).keys()
        assert again.breaks == prior.breaks == recipe.BREAKS[kind]
        assert prior.cell_weight[0] == pytest.approx(recipe.EXACT[kind], abs=1e-5)
        assert isinstance(again, Learned)


def test_what_stood_still_may_climb_again_where_it_has_before() -> None:
    """A flat end breaks by nothing, but of a rough curve by what it did between its rungs, its own way."""
    stairs, all_of_them = np.array([0.0, 1.0, 1.0, 3.0, 3.0]), ((1 - 1e-9, 1.0), (1 - 1e-9, 2.0))
    curves, rough = np.stack([stairs, stairs, stairs, -stairs]), np.array([False, True, True, True])
    normals = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, -1.0], [0.0, -1.0]])
    steep = 2 * np.sqrt((1 + 4) / 4)
    changed = turned(all_of_them, rough, curves, curves[:, -2], np.arange(5.0), normals)
    assert changed == pytest.approx([0.0, steep, 0.0, -steep])
    close = turned(all_of_them, rough[:1], stairs[None, :2], stairs[:1], np.array([0.0, 0.5]), normals[:1])
    assert close == pytest.approx([2.0]), "slopes are per doubling where sizes lie within one"


def test_each_kind_of_curve_breaks_as_often_as_its_share() -> None:
    rng = np.random.default_rng(0)
    d, rough = np.arange(3.0), np.arange(20_000) % 2 == 1
    line, normals = np.tile(d, (20_000, 1)), rng.standard_normal((20_000, 2))
    changed = turned(((0.05, 1.0), (0.4, 2.0)), rough, line, line[:, 1], d, normals)
    for kind, share, up in ((False, 0.05, 1.0), (True, 0.4, 2.0)):
        own = changed[rough == kind]
        assert (own != 0).mean() == pytest.approx(share, abs=0.02)
        for found, sd in ((own[own > 0], up), (own[own < 0], 1.0)):
            assert np.sqrt((found**2).mean()) == pytest.approx(sd, rel=0.1)
    assert not turned(((0.0, 1.0), (0.0, 2.0)), rough, line, line[:, 1], d, normals).any()
