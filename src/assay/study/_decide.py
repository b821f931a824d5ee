"""Where more data did harm and nothing tells why: the largest rung once more, at a lower learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from assay import view
from assay.core import StudyResult
from assay.plan import Pool, Store
from assay.study import _recipes
from assay.study._bases import BasePart, StudyGraph
from assay.study._recipes import Beside, Variant, random_arm, trained

MOST, LOWER = 2, 3.0
"""How many trainings there are at most: at a third of the rate; where that leaves it open with the next seed,
where the harm stays at a third of that."""


def decided(
    graph: StudyGraph, build: Callable[[Mapping[str, Beside]], StudyGraph], store: Store, workers: Pool
) -> StudyGraph:
    """Train what tells whether recipe or data do harm, where that is open; return the study's graph with it.

    ``build`` returns the graph with given trainings beside the ladders, by base.
    """
    for _ in range(MOST):
        wanted = {name: _wanted(part, store) for name, part in graph.parts.items()}
        if not any(wanted.values()):
            return graph
        beside = {name: part.beside for name, part in graph.parts.items()}
        for name, one in wanted.items():
            if one is not None:
                beside[name] = beside[name].with_more(trained([one], store, workers))
        graph = build(beside)
        graph.run(store, workers)
    return graph


def _wanted(part: BasePart, store: Store) -> Variant | None:
    """Return the training that would tell more; None where the cause is known, or enough was tried."""
    config, tried = part.ladder.config, [v for v in part.beside.variants if v.kind == "deciding"]
    if not config.recipe_check or config.question.recipes or len(tried) == MOST:
        return None
    result = view.load_result(store.path(part.result.key) / "report" / "result.json")
    found = next((one for one in result.causes if one.arm == random_arm(part.ladder)), None)
    if found is None or found.harm == "plateau" or found.word not in ("open", "data"):
        return None
    if not tried:
        return _recipes.deciding(part.ladder, _lower(result), 0) if found.word == "open" else None
    rate = tried[-1].ladder.config.recipe.learning_rate
    if found.word == "data":
        return _recipes.deciding(part.ladder, rate / LOWER, 0)
    return _recipes.deciding(part.ladder, rate, 1) if config.ladder.seeds > 1 else None


def _lower(result: StudyResult) -> float:
    """Return the rate that is tried first: the check's best where that is lower, else a third."""
    own, check = float(result.recipe["learning_rate"] or 0), result.recipe_check
    best = own if check is None or check.chosen is None else check.chosen.learning_rate
    return best if best < own / LOWER**0.5 else own / LOWER
