"""How large a study's control slice is, and how models are measured on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from assay.core import DataSummary, Say, say
from assay.study._config import FEWEST, FULL, ArmConfig, MeasureConfig, StudyConfig
from assay.study.steps import MOST, SHARE, expand, place_digest


def control_size(config: StudyConfig, summary: DataSummary) -> int:
    """Return how many samples of the pool are kept out of training; 0 where there is no slice.

    A number that the user gives is kept; the slice of itself makes room for the rungs.
    """
    if config.control is False:
        return 0
    if config.control is not True:
        return config.control
    room = summary.samples - max(_sizes(config), default=0)
    size = min(summary.samples // SHARE, MOST, room)
    return size if size >= FEWEST else 0


def _sizes(config: StudyConfig) -> Iterator[int]:
    """Yield all sizes of rungs that are given as a number."""
    ladders = [config.ladder.rungs, *(arm.rungs or () for arm in config.arms.values())]
    yield from (int(rung) for rungs in ladders for rung in rungs if rung != FULL)
    if config.search is not None:
        yield config.search.high


def spared(config: StudyConfig) -> dict[str, tuple[str, str]]:
    """Return, by arm, digest and place of each selection made elsewhere: the slice leaves its samples in."""
    places = {name: _file(config, name, arm) for name, arm in config.arms.items() if arm.file is not None}
    return {name: (place_digest(place), place) for name, place in places.items()}


def _file(config: StudyConfig, name: str, arm: ArmConfig) -> str:
    (place,) = expand((str(arm.file),), Path(config.folder), f"arms.{name}.file")
    return place


def control_notes(config: StudyConfig, summary: DataSummary, size: int) -> list[Say]:
    """Return what plan and report say of a slice that is not there, or smaller than a tenth."""
    if size == 0:
        why = "off" if config.control is False else "none"
        return [say(f"control.{why}", pool=summary.samples, fewest=FEWEST)]
    if config.control is True and size < min(summary.samples // SHARE, MOST):
        return [say("control.shrunk", samples=size)]
    return []


def loss_only(measure: MeasureConfig) -> MeasureConfig:
    """Return how models are measured beside the evaluation set: by their loss."""
    return MeasureConfig(loss=True, answers=False, max_tokens=measure.max_tokens)
