"""Where more data did harm and nothing tells why: the largest rung once more, at a lower learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from assay import view
from assay.core import StudyResult
from assay.plan import Pool, Store
from assay.study import _recipes
from assay.study._bases import BasePart, StudyGraph
from assay.study._recipes import Beside, random_arm, trained

MOST, LOWER = 2, 3.0
"""How many rates are tried, each a third of the one before, as long as the harm stays."""


def decided(
    graph: StudyGraph, build: Callable[[Mapping[str, Beside]], StudyGraph], store: Store, workers: Pool
) -> StudyGraph:
    """Train what tells whether recipe or data do harm, where that is open; return the study's graph with it.

    ``build`` returns the graph with given trainings beside the ladders, by base.
    """
    for _ in range(MOST):
        rates = {name: _rate(part, store) for name, part in graph.parts.items()}
        if not any(rates.values()):
            return graph
        beside = {name: part.beside for name, part in graph.parts.items()}
        for name, rate in rates.items():
            if rate is not None:
                more = trained([_recipes.deciding(graph.parts[name].ladder, rate)], store, workers)
                beside[name] = beside[name].with_more(more)
        graph = build(beside)
        graph.run(store, workers)
    return graph


def _rate(part: BasePart, store: Store) -> float | None:
    """Return the rate that would tell more; None where the cause is known, or enough was tried."""
    config = part.ladder.config
    if not config.recipe_check or config.question.recipes:
        return None
    tried = [v.ladder.config.recipe.learning_rate for v in part.beside.variants if v.kind == "deciding"]
    result = view.load_result(store.path(part.result.key) / "report" / "result.json")
    if len(tried) == MOST or not _open(result, random_arm(part.ladder)):
        return None
    own, check = config.recipe.learning_rate, result.recipe_check
    if tried:
        return min(tried) / LOWER
    best = own if check is None or check.chosen is None else check.chosen.learning_rate
    return best if best < own / LOWER**0.5 else own / LOWER


def _open(result: StudyResult, arm: str) -> bool:
    """Return whether harm of an arm has no cause yet, or only one rate has shown that it stays."""
    found = next((cause for cause in result.causes if cause.arm == arm), None)
    if found is None or found.harm == "plateau":
        return False
    return found.word == "open" or (found.word == "data" and len(found.elsewhere) == 1)
