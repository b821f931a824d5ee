"""What a ladder leaves open of its recipe: lower learning rates after harm, higher ones on a plateau."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from assay import curves, view
from assay.core import StudyResult
from assay.plan import Pool, Step, Store
from assay.study import _recipes
from assay.study._bases import BasePart, StudyGraph
from assay.study._check import raised
from assay.study._recipes import Beside, Variant, random_arm, trained

MOST, LOWER = 2, 3.0
"""How many trainings there are at most: at a third of the rate; where that leaves it open with the next seed,
where the harm stays at a third of that."""


def looked_higher(
    graph: StudyGraph,
    checks: dict[str, Step | None],
    build: Callable[[], StudyGraph],
    store: Store,
    workers: Pool,
) -> StudyGraph:
    """Try higher rates where a plateau was read and none was tried at a rung; return the study's graph.

    Under a rate that is too low more data teach nothing either.  ``build`` returns the graph with the
    ``checks`` by base, which take what is found.
    """
    before = dict(checks)
    for name, part in graph.parts.items():
        if _plateau(part, store):
            checks[name] = raised(part.ladder, checks[name], store, workers)
    if checks == before:
        return graph
    graph = build()
    graph.run(store, workers)
    return graph


def _plateau(part: BasePart, store: Store) -> bool:
    if part.ladder.config.question.recipes:
        return False
    answer = _result(part, store).answer
    return answer is not None and answer.overall is not None and answer.overall.word == "plateau"


def _result(part: BasePart, store: Store) -> StudyResult:
    return view.load_result(store.path(part.result.key) / "report" / "result.json")


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
    result = _result(part, store)
    found = next((one for one in result.causes if one.arm == random_arm(part.ladder)), None)
    if found is None or found.harm == "plateau" or found.word not in ("open", "data"):
        return None
    if not tried:
        return _recipes.deciding(part.ladder, _lower(result), 0) if found.word == "open" else None
    rate = tried[-1].ladder.config.recipe.learning_rate
    if found.word == "data" and found.harmless is not None and found.harmless.p_harmless >= curves.DECIDED:
        return None
    if found.word == "data":
        return _recipes.deciding(part.ladder, rate / LOWER, 0)
    return _recipes.deciding(part.ladder, rate, 1) if config.ladder.seeds > 1 else None


def _lower(result: StudyResult) -> float:
    """Return the rate that is tried first: the check's best where that is lower, else a third."""
    own, check = float(result.recipe["learning_rate"] or 0), result.recipe_check
    best = own if check is None or check.chosen is None else check.chosen.learning_rate
    return float(f"{best:.1e}") if best < own / LOWER**0.5 else own / LOWER
