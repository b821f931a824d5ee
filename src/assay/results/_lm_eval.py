"""Result folders of lm-evaluation-harness, with the values of items where samples were logged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import read_json, read_json_lines
from assay.results._recipes import facts_of
from assay.results._values import Measure, Run

_RESULTS = re.compile(r"results_(.+)\.json")
_MODEL_ARGUMENTS = ("peft", "pretrained", "model", "path")


@dataclass(frozen=True, slots=True)
class LmEvalReader:
    """``results_<time>.json`` with ``samples_<task>_<time>.jsonl`` beside it (``--log_samples``)."""

    name: str = "lm_eval"
    version: int = 1
    patterns: tuple[str, ...] = ("results_*.json", "results.json")

    def __call__(self, path: Path) -> Iterator[Run] | None:
        """Return the model that the results are of."""
        if path.suffix != ".json" or not path.name.startswith("results"):
            return None
        found = read_json(path)
        if not isinstance(found.get("results"), dict) or "configs" not in found:
            return None
        return iter([_run(path, found)])


def _run(path: Path, found: Mapping[str, Any]) -> Run:
    time = _RESULTS.fullmatch(path.name)
    arguments = _arguments(found.get("config", {}).get("model_args"))
    models = [str(arguments[a]) for a in _MODEL_ARGUMENTS if arguments.get(a)]
    names = [*models, str(found.get("model_name") or ""), str(path.parent).replace("__", "/")]
    facts = facts_of(found.get("config", {}).get("metadata") or {})
    if arguments.get("peft") and arguments.get("pretrained"):
        facts.setdefault("base", str(arguments["pretrained"]))
    model = re.search(r"checkpoint-(\d+)/?$", names[0])
    return Run(
        tool="lm_eval",
        place=str(path),
        names=tuple(dict.fromkeys(name for name in names if name)),
        facts=facts,
        measures=tuple(_measures(path, found, "" if time is None else f"_{time[1]}")),
        checkpoint=None if model is None else int(model[1]),
        order=str(found.get("date") or path.name),
    )


def _arguments(given: Any) -> Mapping[str, Any]:
    """Return the model's arguments: an object, or ``pretrained=...,dtype=...``."""
    if isinstance(given, Mapping):
        return given
    return dict(part.split("=", 1) for part in str(given or "").split(",") if "=" in part)


def _measures(path: Path, found: Mapping[str, Any], time: str) -> Iterator[Measure]:
    """Yield every metric of the tasks that stand alone and of the groups that are in no other."""
    groups: Mapping[str, list[str]] = {k: v for k, v in (found.get("group_subtasks") or {}).items() if v}
    inside = {name for members in groups.values() for name in members}
    for task in found["results"]:
        if task not in inside:
            yield from _task(path, found, task, list(_leaves(task, groups)), time)


def _leaves(task: str, groups: Mapping[str, list[str]]) -> Iterator[str]:
    if task not in groups:
        yield task
    for member in groups.get(task, ()):
        yield from _leaves(member, groups)


def _task(path: Path, found: Mapping[str, Any], task: str, leaves: list[str], time: str) -> Iterator[Measure]:
    values, higher = found["results"][task], found.get("higher_is_better", {})
    samples = {leaf: path.parent / f"samples_{leaf}{time}.jsonl" for leaf in leaves}
    whole = all(file.is_file() for file in samples.values())
    rows = {leaf: _rows(file) for leaf, file in samples.items()} if whole else {}
    counts = [_count(found, leaf) for leaf in leaves]
    first = True
    for key, value in values.items():
        if "," not in key or "_stderr" in key or not isinstance(value, int | float):
            continue
        metric, _, filter_ = key.partition(",")
        items = {f"{leaf}/{k}": v for leaf in rows for k, v in _items(rows[leaf], metric, filter_).items()}
        error = values.get(f"{metric}_stderr,{filter_}")
        yield Measure(
            task=task,
            metric=metric if filter_ == "none" else key,
            value=float(value),
            higher=next(
                (h[metric] for leaf in (task, *leaves) if metric in (h := higher.get(leaf) or {})), None
            ),
            n_eval=None if None in counts else sum(n for n in counts if n is not None),
            se=float(error) if isinstance(error, int | float) else None,
            items=items or None,
            first=first,
            setup=_setup(found, leaves),
        )
        first = False


def _count(found: Mapping[str, Any], task: str) -> int | None:
    """Return how many items were measured; ``effective`` is what ``--limit`` left."""
    count = (found.get("n-samples") or {}).get(task) or {}
    return count.get("effective")


def _setup(found: Mapping[str, Any], leaves: list[str]) -> str:
    shots = sorted({str((found.get("n-shot") or {}).get(leaf, "?")) for leaf in leaves})
    chat = "chat template" if found.get("chat_template") else ""
    return ", ".join(part for part in (f"{'/'.join(shots)}-shot", chat) if part)


def _rows(file: Path) -> list[dict[str, Any]]:
    hint = "the file may be cut: measure again, or remove it to do without the errors of items"
    return [row for _, row in read_json_lines(file, hint=hint)]


def _items(rows: list[dict[str, Any]], metric: str, filter_: str) -> dict[str, float]:
    """Return the values of one metric by document; empty where they are no numbers."""
    own = [row for row in rows if row.get("filter", "none") == filter_ and metric in row]
    hashes = [row.get("doc_hash") for row in own]
    by = "doc_hash" if None not in hashes and len(set(hashes)) == len(hashes) else "doc_id"
    if not all(isinstance(row[metric], int | float) and by in row for row in own):
        return {}
    return {str(row[by]): float(row[metric]) for row in own}
