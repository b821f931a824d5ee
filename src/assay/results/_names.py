"""Which run of a ladder a model is: from a table, from its name, from its settings, in this order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from assay.core import BASE_ARM, AssayError, Say, say
from assay.results._recipes import RECIPE, facts_of
from assay.results._values import Fact, Run

PATTERN = "{arm}-{n_train}-s{seed}"
"""Tried on every name where no other pattern is asked for."""
_FIELDS: Mapping[str, str] = {
    "n_train": r"\d[\d_,]*(?:\.\d+)?[kKmM]?",
    "seed": r"\d+",
    "arm": r"[^/]+?",
    "base": r"[^/]+?",
}
_SIZE = re.compile(r"(\d[\d_,]*(?:\.\d+)?)([kKmM]?)")
_CHECKPOINT = re.compile(r"checkpoint-\d+|global_step\d+|merged|final|latest", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Known:
    """A run with its place in a ladder: ``seed`` None where nothing tells; ``facts`` are of its recipe."""

    run: Run
    arm: str
    n_train: int
    seed: int | None
    base: str
    title: str
    facts: Mapping[str, Fact] = field(default_factory=dict)


def as_pattern(pattern: str) -> re.Pattern[str]:
    """Return the expression of a pattern such as ``{arm}-{n_train}-s{seed}``.

    ``{n_train}`` reads 1000, 1,000, 1k and 2.5k; ``{arm}``, ``{base}`` and other names read any text within
    one folder's name, ``*`` any text without keeping it.  Raises :class:`AssayError` for braces that do not
    close and for a field twice.
    """
    text = ""
    for part in re.split(r"(\{[^{}]*\}|\*)", pattern):
        if part.startswith("{") and part.endswith("}") and re.fullmatch(r"[A-Za-z_]\w*", part[1:-1]):
            text += f"(?P<{part[1:-1]}>{_FIELDS.get(part[1:-1], '[^/]+?')})"
        elif "{" in part or "}" in part:
            raise _wrong(pattern)
        else:
            text += "[^/]*?" if part == "*" else re.escape(part)
    try:
        return re.compile(text)
    except re.error:
        raise _wrong(pattern) from None


def _wrong(pattern: str) -> AssayError:
    return AssayError(
        "not a pattern", place="--pattern", value=pattern, expected=f"such as {PATTERN}, each field once"
    )


def parts_of(name: str) -> list[str]:
    """Return the folders of a name or path, the deepest first, without those of checkpoints."""
    parts = [part for part in PurePath(name.replace("\\", "/")).parts if part not in ("/", ".", "..")]
    return [part for part in reversed(parts) if not _CHECKPOINT.fullmatch(part)]


def _matched(names: Sequence[str], pattern: re.Pattern[str], depth: int) -> dict[str, str] | None:
    for name in names:
        parts = parts_of(name)
        for start in range(len(parts)):
            text = "/".join(reversed(parts[start : start + depth]))
            found = pattern.fullmatch(text)
            if found is not None:
                return found.groupdict()
    return None


def identify(
    runs: Sequence[Run],
    *,
    pattern: str | None = None,
    table: Sequence[Mapping[str, str]] = (),
    base: str | None = None,
) -> Iterator[Known | tuple[Run, Say]]:
    """Yield each run with its place in a ladder, or with what is not known of it.

    ``table`` has rows with ``run`` (a name, a path, or the end of one) and any of ``n_train``, ``seed``,
    ``arm``, ``base`` and settings of the recipe.  ``base`` names the untrained model, whose size is 0.
    """
    expression, depth = as_pattern(pattern or PATTERN), (pattern or PATTERN).count("/") + 1
    bases = {str(run.facts["base"]) for run in runs if run.facts.get("base")} | ({base} if base else set())
    ends = {_end(name) for name in bases}
    for run in runs:
        row = _row(run, table)
        told = _matched(run.names, expression, depth) or {}
        facts = {**run.facts, **_told(told), **facts_of(row)}
        is_base = "n_train" not in facts and any(_end(name) in ends for name in run.names[:1])
        if is_base or facts.get("n_train") == 0:
            yield Known(run, BASE_ARM, 0, 0, str(facts.get("base", "")), _title(run))
        elif "n_train" in facts:
            yield _known(run, facts)
        else:
            yield run, say("import.unknown.size", run=_title(run), place=run.place)


def is_named(run: Run, base: str) -> bool:
    """Say whether a run is called as the base that a person named."""
    return any(_end(name) == _end(base) for name in run.names[:1])


def rows_of_none(runs: Sequence[Run], table: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Return the rows of a table that no run takes: none is called so, or another row comes first."""
    taken = [_row(run, table) for run in runs]
    return [row for row in table if not any(row is one for one in taken)]


def _known(run: Run, facts: Mapping[str, Fact]) -> Known:
    seed, arm = facts.get("seed"), str(facts.get("arm", "random"))
    if not isinstance(size := facts["n_train"], int | float) or size < 0 or not float(size).is_integer():
        raise AssayError("the training size is no number of samples", place=run.place, value=size)
    if seed is not None and not isinstance(seed, int):
        raise AssayError("the seed is no whole number", place=run.place, value=seed)
    recipe = {name: facts[name] for name in facts if name in RECIPE or name.startswith("implied")}
    extra = {
        n: v for n, v in facts.items() if n not in recipe and n not in ("n_train", "seed", "arm", "base")
    }
    return Known(run, arm, int(size), seed, str(facts.get("base", "")), _title(run), recipe | extra)


def _title(run: Run) -> str:
    return next((parts[0] for name in run.names if (parts := parts_of(name))), run.place)


def _end(name: str) -> str:
    return next(iter(parts_of(name)), name)


def _told(found: Mapping[str, str]) -> dict[str, Fact]:
    """Return what a name says, sizes with k and m as numbers."""
    told = facts_of(found)
    if "n_train" in found and (size := _SIZE.fullmatch(found["n_train"])) is not None:
        factor = {"k": 1000, "m": 1_000_000}.get(size[2].lower(), 1)
        told["n_train"] = round(float(re.sub("[_,]", "", size[1])) * factor)
    known = set(told) | {"n_train", "seed", "arm", "base"}
    return told | {k: v for k, v in facts_of_others(found).items() if k not in known}


def facts_of_others(found: Mapping[str, str]) -> dict[str, Fact]:
    """Return fields of a pattern that are no names of ours: settings that a person knows a recipe by."""
    return {k: v for k, v in found.items() if v is not None and not facts_of({k: v})}


def _row(run: Run, table: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Return the row of a table that is of a run: its name, or the end of its path, is the row's."""
    wanted = [parts_of(row["run"]) for row in table]
    for name in (*run.names, run.place):
        parts = parts_of(name)
        for row, own in zip(table, wanted, strict=True):
            if own and parts[: len(own)] == own:
                return row
    return {}
