"""Whose a report's folder is: a study is its data, bases and recipes, and not only its name."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

from assay import data, llm
from assay.core import AssayError, digest
from assay.plan import Step, local_folder
from assay.study._config import StudyConfig
from assay.study._graph import evaluation_step

STUDY = "study.json"


def identity(config: StudyConfig, pool: Step) -> dict[str, str]:
    """Return the parts of what a study is, its data by content.

    More seeds, rungs, arms or bases extend a study; how it is measured and judged, and what is asked of the
    curves, may change.
    """
    own = evaluation_step(config, config.evaluation)
    parts: dict[str, object] = {f"base {n}": [b.model, b.recipe] for n, b in config.bases.items()}
    hosted = llm.is_hosted(config.base) and not llm.is_tinker(config.base)
    parts = parts or {"base": config.base, "recipe": config.hosted.identity() if hosted else config.recipe}
    for name, step in (("pool", pool), ("evaluation", own)):
        parts[name] = [step.config.get(kind) for kind in ("files", "testbed")]
    return {"name": config.name, **{name: digest(part) for name, part in parts.items()}}


def others(parts: Mapping[str, str], folder: Path) -> str | None:
    """Return in what the study whose report is in ``folder`` differs; None for the same study, or none."""
    place = folder / STUDY
    if not place.is_file():
        return "all: it was written by another command" if (folder / "result.json").is_file() else None
    try:
        written: dict[str, str] = dict(json.loads(place.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError):
        return f"all: {STUDY} cannot be read"
    return ", ".join(name for name, part in written.items() if parts.get(name) != part) or None


def of_first_version(name: str, folder: Path) -> bool:
    """Say whether Assay 0.1.0 wrote the report, which did not note whose it is, for a study of this name."""
    if (folder / STUDY).is_file() or not (folder / "models.json").is_file():
        return False
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return bool(result["assay_version"] == "0.1.0" and result["name"] == name)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def _move_aside(folder: Path, used: Sequence[Path]) -> Path:
    """Rename a folder to the first free ``name.N``; raise where it holds what is ``used`` from elsewhere."""
    if any(place.is_relative_to(folder) for place in used):
        raise AssayError(
            "the folder cannot be moved aside: the store or the working directory lies in it",
            place=str(folder), hint="change `name`, or give --out",
        )  # fmt: skip
    free = (folder.with_name(f"{folder.name}.{n}") for n in count(1))
    return folder.rename(next(place for place in free if not place.exists()))


def claim(config: StudyConfig, pool: Step, folder: Path) -> str:
    """Write down whose report ``folder`` holds, and return the owner's digest, which extensions share.

    Raises :class:`AssayError` where it is another study's; with ``where.replace`` that report is moved aside.
    """
    parts = identity(config, pool)
    differs = others(parts, folder)
    first = differs is not None and of_first_version(config.name, folder)
    if differs is not None and not (config.where.replace or first):
        raise AssayError(
            "the folder holds the report of another study", place=str(folder), value=f"differs in: {differs}",
            expected="a folder of its own for every study",
            hint="change `name`, give --out, or move that report aside with --set where.replace=true",
        )  # fmt: skip
    if differs is not None:
        aside = _move_aside(folder.resolve(), [Path.cwd(), local_folder(config.where.store).resolve()])
        if first:
            print(f"note: the report of Assay 0.1.0 in {folder} is now in {aside}", file=sys.stderr)
    data.write_json(folder / STUDY, parts)
    return _owner(parts)


def owner(config: StudyConfig, pool: Step) -> str:
    """Return the digest by which a study's keys in the store are told from those of its namesakes."""
    return _owner(identity(config, pool))


def _owner(parts: Mapping[str, str]) -> str:
    return digest([parts[name] for name in ("name", "pool", "evaluation")])
