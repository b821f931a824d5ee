"""The laws of selections."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from assay import indicators, selection
from assay.selection import Need
from assay.testing._data import samples
from assay.testing._suite import Suite

_WANTED = 20


@cache
def _pool() -> dict[str, Any]:
    """Return all that a selection may ask for: scores with ties and gaps, groups, embeddings, tags."""
    rows = samples(72)
    lengths = np.array([len(sample.answer or "") for sample in rows], float)
    score = np.round(lengths / 20)
    score[::9] = np.nan
    tools = indicators.Tools(indicators.Models(embedder="lexical"))
    tags = indicators.Tags(rows)
    return {
        "ids": [sample.id for sample in rows],
        "score": score,
        "groups": [sample.type or "untyped" for sample in rows],
        "vectors": tools.embed(map(indicators.whole, rows)),
        "targets": tools.embed(map(indicators.whole, rows[:3])),
        "tags": [tags.of(sample) for sample in rows],
    }


def _pick(name: str, order: Sequence[int] | None = None, n: int = _WANTED, seed: int = 0) -> list[str]:
    """Return ids in the order of selection, the rows of the pool standing in ``order``."""
    pool, needs = _pool(), selection.needs(name)
    places = list(range(len(pool["ids"])) if order is None else order)
    ids = [pool["ids"][row] for row in places]
    given: dict[Need, Any] = {"targets": pool["targets"]} if "targets" in needs else {}
    for need in needs:
        if need in ("score", "vectors"):
            given[need] = pool[need][places]
        elif need != "targets":
            given[need] = [pool[need][row] for row in places]
    found = selection.pick(ids, name, n=n, seed=seed, **given)
    return [ids[row] for row in found.tolist()]


def fingerprint(name: str) -> list[str]:
    """Return the order of the pool."""
    return _pick(name)


class SelectionSuite(Suite):
    """Inherit it and set ``name``."""

    plugins = selection.PLUGINS
    fingerprint = f"{__name__}:fingerprint"

    def test_it_says_what_it_is(self) -> None:
        """What it needs is known, and a plug-in names its source."""
        selection.needs(self.name)
        if not self.ours:
            assert selection.PLUGINS[self.name].source.strip(), "no source: say who proposed it"

    def test_every_row_is_there_once(self) -> None:
        """The order holds the whole pool, for any number that is wanted."""
        ids = sorted(_pool()["ids"])
        for n in (1, _WANTED, len(ids)):
            if n <= self.scored():
                assert sorted(_pick(self.name, n=n)) == ids, f"not the whole pool once, for n = {n}"

    def test_where_samples_stood_changes_nothing(self) -> None:
        """The same samples in another order are selected in the same order."""
        turned = np.random.default_rng(1).permutation(len(_pool()["ids"])).tolist()
        assert _pick(self.name, turned) == _pick(self.name), "the order of the rows decides"

    def test_rows_without_a_score_are_not_selected(self) -> None:
        """Where a score is needed, no row without one is among those wanted while others are left."""
        if "score" in selection.needs(self.name):
            pool = _pool()
            without = {i for i, s in zip(pool["ids"], pool["score"], strict=True) if np.isnan(s)}
            taken = [i for i in _pick(self.name)[:_WANTED] if i in without]
            assert not taken, f"{len(taken)} of {_WANTED} have no score"

    def test_what_it_is_given_is_left_alone(self) -> None:
        """Scores and embeddings are the same afterwards."""
        before = {need: np.array(_pool()[need]) for need in ("score", "vectors", "targets")}
        _pick(self.name)
        for need, values in before.items():
            assert np.array_equal(values, _pool()[need], equal_nan=True), f"{need} have changed"

    def scored(self) -> int:
        """Return how many rows can be wanted."""
        scores = _pool()["score"]
        return int((~np.isnan(scores)).sum()) if "score" in selection.needs(self.name) else len(scores)
