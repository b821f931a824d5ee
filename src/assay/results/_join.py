"""Runs of many places as one ladder: checkpoints apart, recipes apart, what was measured twice once."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from assay.core import BASE_ARM, AssayError, Say, say
from assay.results._names import Known
from assay.results._values import Fact, Measure

_CLOSE = 1e-5
"""How far two tools' values of one mean may differ: TensorBoard keeps single precision."""
_IMPLIED = 0.02


@dataclass(frozen=True, slots=True)
class Rung:
    """One model of a ladder with all that was measured of it; ``run`` is a name that no other has."""

    run: str
    arm: str
    n_train: int
    seed: int
    base: str
    titles: tuple[str, ...]
    tools: tuple[str, ...]
    facts: Mapping[str, Fact]
    measures: Mapping[tuple[str, str], Measure]


def without_checkpoints(known: Sequence[Known]) -> tuple[list[Known], list[Say]]:
    """Leave out checkpoints inside a run, whose schedule had not ended, and say how many.

    Where nothing of a run but checkpoints is left, the last one stands for it, and a note says so.
    """
    by_run: dict[tuple[str, int, int | None, str, str], list[Known]] = defaultdict(list)
    for one in known:
        by_run[one.arm, one.n_train, one.seed, one.title, one.run.tool].append(one)
    kept: list[Known] = []
    notes, left = list[Say](), dict[str, int]()
    for own in by_run.values():
        steps = [one.run.checkpoint for one in own if one.run.checkpoint is not None]
        whole = [one for one in own if one.run.checkpoint is None]
        if steps and not whole:
            whole = [one for one in own if one.run.checkpoint == max(steps)]
            notes.append(say("import.note.checkpoint", run=own[0].title, step=max(steps)))
        if len(own) > len(whole):
            left[own[0].title] = left.get(own[0].title, 0) + len(own) - len(whole)
        kept += whole
    if left:
        notes.append(say("import.note.checkpoints", runs=len(left), n=sum(left.values())))
    return kept, notes


def apart_by_recipe(known: Sequence[Known]) -> tuple[list[Known], list[Say]]:
    """Tell ladders of unlike recipes apart by their arm, and say so.

    A setting that differs between runs of one arm and size, and the base in any case, makes arms of its own.
    One that goes with the size alone stays, with a note: what looks like data's worth is also that of it.
    """
    arms: dict[str, list[Known]] = defaultdict(list)
    for one in known:
        arms[one.arm].append(one)
    found, notes = [], []
    for arm, own in arms.items():
        if arm == BASE_ARM:
            found += own
            continue
        apart, said = _differing(own)
        notes += said
        if apart:
            notes.append(say("import.note.apart", arm=arm, settings=tuple(apart)))
        found += [replace(one, arm=_arm(one, apart)) for one in own]
    return found, notes


def _arm(one: Known, apart: Sequence[str]) -> str:
    facts = {**one.facts, "base": one.base}
    named = [f"{name} {facts[name]}" for name in apart if facts.get(name) not in (None, "")]
    return ", ".join([one.arm, *named])


def _differing(own: Sequence[Known]) -> tuple[list[str], list[Say]]:
    apart, notes = [], []
    shared = _shared(own)
    for name in ["base", *dict.fromkeys(n for one in own for n in one.facts if not n.startswith("implied"))]:
        by_size: dict[int, set[str]] = defaultdict(set)
        for one in own:
            value = shared[_key(one)].get(name)
            if value is not None:
                by_size[one.n_train].add(str(value))
        values = {value for found in by_size.values() for value in found}
        if len(values) < 2:
            continue
        if name == "base" or any(len(found) > 1 for found in by_size.values()):
            apart.append(name)
        else:
            shown = ", ".join(f"{n:,}: {min(found)}" for n, found in sorted(by_size.items()))
            notes.append(say("import.note.with_size", setting=name, values=shown))
    return apart, notes


def _key(one: Known) -> tuple[str, int, int | None, str]:
    return one.arm, one.n_train, one.seed, one.title


def _shared(own: Sequence[Known]) -> dict[tuple[str, int, int | None, str], dict[str, Fact]]:
    """Return what any tool knows of each run: a result may know no recipe that the trainer's state knows."""
    found: dict[tuple[str, int, int | None, str], dict[str, Fact]] = defaultdict(dict)
    for one in own:
        found[_key(one)] = {**one.facts, **({"base": one.base} if one.base else {}), **found[_key(one)]}
    return found


def with_recipes(known: Sequence[Known]) -> list[Known]:
    """Give every run what other places say of the same run's recipe and base."""
    shared = _shared(known)
    return [
        replace(one, facts={n: v for n, v in own.items() if n != "base"}, base=str(own.get("base", "")))
        for one in known
        for own in [shared[_key(one)]]
    ]


def with_seeds(known: Sequence[Known]) -> tuple[list[Known], list[Say]]:
    """Give runs whose seed nothing tells a number, by arm and size, in the order in which they came.

    Where another tool tells of a run of the same name with one seed, it is that run.
    """
    known = [one if one.seed is not None else replace(one, seed=_told_seed(one, known)) for one in known]
    unknown: dict[tuple[str, int], list[str]] = defaultdict(list)
    names = _own_names([one for one in known if one.seed is None])
    for one in known:
        if one.seed is None and names[one.run.place] not in unknown[one.arm, one.n_train]:
            unknown[one.arm, one.n_train].append(names[one.run.place])
    taken = {(one.arm, one.n_train, one.seed) for one in known if one.seed is not None}
    numbers: dict[tuple[str, int, str], int] = {}
    for (arm, n), titles in unknown.items():
        free = (k for k in count() if (arm, n, k) not in taken)
        numbers |= {(arm, n, title): next(free) for title in titles}
    notes = [say("import.note.seeds", n=len(numbers))] if numbers else []
    return [
        one
        if one.seed is not None
        else replace(one, seed=numbers[one.arm, one.n_train, names[one.run.place]])
        for one in known
    ], notes


def _told_seed(own: Known, known: Sequence[Known]) -> int | None:
    others = [one for one in known if one.run.tool != own.run.tool and one.run.names and own.run.names]
    found = {
        one.seed for one in others
        if (one.arm, one.n_train, one.title) == (own.arm, own.n_train, own.title) and one.seed is not None
    }  # fmt: skip
    return found.pop() if len(found) == 1 else None


def _own_names(known: Sequence[Known]) -> dict[str, str]:
    """Return, by place, what a run without a seed is told from others by: its title, where it is its own.

    Two places of one tool that share a title (``a/output``, ``b/output``) are two runs; so are rows of a
    table without names.
    """
    shared = Counter((one.run.tool, one.arm, one.n_train, one.title) for one in known)
    return {
        one.run.place: one.title
        if one.run.names and shared[one.run.tool, one.arm, one.n_train, one.title] == 1
        else one.run.place
        for one in known
    }


def rungs(known: Iterable[Known]) -> tuple[list[Rung], list[Say]]:
    """Return the models, each with all that was measured of it, and notes.

    What was measured twice is kept once where both agree; of two results in one place the later one.  Raises
    :class:`AssayError` where two places disagree on the same mean.
    """
    models: dict[tuple[str, int, int], list[Known]] = defaultdict(list)
    for one in known:
        models[one.arm, one.n_train, one.seed or 0].append(one)
    found, notes = [], list[Say]()
    for (arm, n, seed), own in sorted(models.items(), key=lambda item: (item[0][0], item[0][1:])):
        measures, later = _measures(own)
        notes += [*later, *_implied(own, n)]
        found.append(
            Rung(
                "", arm, n, seed, own[0].base, tuple(dict.fromkeys(one.title for one in own)),
                tuple(dict.fromkeys(one.run.tool for one in own)), own[0].facts, measures,
            )
        )  # fmt: skip
    return _named(found), notes


def _named(found: Sequence[Rung]) -> list[Rung]:
    """Return the models by names of their own: their first title, with their place where that is taken."""
    taken = Counter(model.titles[0] for model in found)
    return [
        replace(
            m, run=title if taken[title := m.titles[0]] == 1 else f"{title} ({m.arm}, {m.n_train}, {m.seed})"
        )
        for m in found
    ]


def _measures(own: Sequence[Known]) -> tuple[dict[tuple[str, str], Measure], list[Say]]:
    found: dict[tuple[str, str], tuple[Known, Measure]] = {}
    replaced: dict[str, int] = defaultdict(int)
    for one in sorted(own, key=lambda one: _order(one.run.order)):
        for measure in one.run.measures:
            key = measure.task, measure.metric
            before = found.get(key)
            if before is None or _agree(before[1], measure):
                better = before is None or (before[1].items is None and measure.items is not None)
                found[key] = (one, measure) if better or before is None else before
            elif (
                one.run.order
                and before[0].run.order
                and before[0].title == one.title
                and before[0].run.tool == one.run.tool
            ):
                replaced[one.title] += 1
                found[key] = (one, measure)
            else:
                raise _disagree(before, (one, measure))
    notes = [say("import.note.later", run=title, n=times) for title, times in replaced.items()]
    return {key: measure for key, (_, measure) in found.items()}, notes


def _order(text: str) -> tuple[float, str]:
    try:
        return float(text), ""
    except ValueError:
        return math.inf, text


def _agree(a: Measure, b: Measure) -> bool:
    return math.isclose(a.value, b.value, rel_tol=_CLOSE, abs_tol=1e-9)


def _disagree(first: tuple[Known, Measure], second: tuple[Known, Measure]) -> AssayError:
    (one, a), (other, b) = first, second
    return AssayError(
        "two results of one run disagree",
        place=f"{one.arm}, n_train {one.n_train}, seed {one.seed}: {a.task} {a.metric}".rstrip(),
        value=f"{a.value:.6g} in {one.run.place}, {b.value:.6g} in {other.run.place}",
        expected="one value a run",
        hint="if these are two runs, give each its own seed (a pattern, or a table by --runs); "
        "if one is out of date, leave its folder out",
    )


def _implied(own: Sequence[Known], n: int) -> Iterator[Say]:
    """Yield that a run was trained on another number of samples than it is said to be."""
    for one in own:
        told = one.run.facts.get("n_train")
        low, high = (one.run.facts.get(f"implied_{end}", told) for end in ("low", "high"))
        if not isinstance(low, int | float) or not isinstance(high, int | float) or not n:
            continue
        if high < n * (1 - _IMPLIED) or low > n * (1 + _IMPLIED):
            yield say("import.note.implied", run=one.title, n=n, found=round((low + high) / 2))
