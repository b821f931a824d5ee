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
