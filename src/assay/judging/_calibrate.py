"""A judge held against labels of people, type by type: whether its numbers may be read as theirs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from assay.core import OVERALL, AssayError
from assay.judging._agree import (
    Agreement,
    Interval,
    LengthBias,
    agreement,
    length_bias,
)
from assay.judging._alpha import krippendorff_alpha
from assay.judging._judge import Judgement, clustered
from assay.judging._ppi import LABELS_WANTED, PpiMean, ppi_mean


@dataclass(frozen=True, slots=True)
class Label:
    """What one person gave an answer, in [0, 1]."""

    item: str
    score: float
    annotator: str | None = None


@dataclass(frozen=True, slots=True)
class TypeCalibration:
    """What a judge's scores of one type are worth.

    ``units`` says whose scale ``estimate`` is on: ``people`` from 50 labels on (PPI++), else ``judge`` (the
    judge's own mean).  ``wanted`` is how many labels are lacking.  ``people_alpha`` is Krippendorff's α
    among several annotators.
    """

    type: str
    units: Literal["people", "judge"]
    estimate: Interval | None
    judge_mean: float | None
    items: int
    labels: int
    wanted: int
    agreement: Agreement | None
    length: LengthBias | None
    people_alpha: float | None
    ppi: PpiMean | None


def calibrate(
    judgements: Sequence[Judgement],
    labels: Iterable[Label],
    lengths: Mapping[str, int] | None = None,
    *,
    level: float = 0.9,
) -> list[TypeCalibration]:
    """Hold judgements against labels, by type and overall.

    ``lengths`` are those of the answers (characters) by item.  Several labels of one item are averaged.  The
    overall estimate is the unweighted mean of the types', in people's units only where all types are.
    Raises :class:`AssayError` for labels outside [0, 1], or of items that were not judged.
    """
    given = _by_item(labels, {row.item for row in judgements})
    types: dict[str, list[Judgement]] = defaultdict(list)
    for row in judgements:
        types[row.type].append(row)
    rows = [_calibration(kind, own, given, lengths, level) for kind, own in types.items()]
    if len(rows) > 1:
        whole = _calibration(OVERALL, list(judgements), given, lengths, level)
        rows.append(_overall(whole, rows))
    return rows


def _by_item(labels: Iterable[Label], known: set[str]) -> dict[str, list[Label]]:
    given: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        if not 0 <= label.score <= 1:
            raise AssayError(
                "a label is not in [0, 1]", place=f"item {label.item}", value=label.score, expected="0 to 1"
            )
        given[label.item].append(label)
    strange = [item for item in given if item not in known]
    if strange:
        raise AssayError(
            "labels of items that were not judged",
            value=f"{len(strange)} of {len(given)}, first {strange[0]}",
            hint="judge the file that was labelled, or label the one that was judged",
        )
    return given


def _calibration(
    kind: str,
    rows: Sequence[Judgement],
    given: Mapping[str, Sequence[Label]],
    lengths: Mapping[str, int] | None,
    level: float,
) -> TypeCalibration:
    scored = [row for row in rows if row.score is not None]
    both = [row for row in scored if row.item in given]
    judge = np.array([row.score for row in both], float)
    people = np.array([np.mean([label.score for label in given[row.item]]) for row in both])
    clusters = [row.group or row.item for row in both]
    ppi = None
    if len(both) >= LABELS_WANTED and len(set(clusters)) > 1:
        rest = [row for row in scored if row.item not in given]
        ppi = ppi_mean(
            people,
            judge,
            np.array([row.score for row in rest], float),
            clusters=clusters,
            clusters_only=[row.group or row.item for row in rest],
            bounds=(0.0, 1.0),
            level=level,
        )
    known = lengths is not None and all(row.item in lengths for row in both)
    return TypeCalibration(
        type=kind,
        units="judge" if ppi is None else "people",
        estimate=_judge_units(scored, level) if ppi is None else Interval(ppi.mean, ppi.low, ppi.high),
        judge_mean=float(np.mean([row.score for row in scored])) if scored else None,
        items=len(scored),
        labels=len(both),
        wanted=max(0, LABELS_WANTED - len(both)),
        agreement=agreement(judge, people, clusters=clusters, level=level) if len(both) > 2 else None,
        length=length_bias(judge, people, [lengths[row.item] for row in both], clusters=clusters, level=level)
        if known and lengths is not None and len(both) > 2
        else None,
        people_alpha=_alpha([given[row.item] for row in both]),
        ppi=ppi,
    )


def _judge_units(scored: Sequence[Judgement], level: float) -> Interval | None:
    pairs = [(row.group or row.item, row.score) for row in scored if row.score is not None]
    if not pairs:
        return None
    mean, se = clustered(pairs)
    if se is None:
        return None
    reach = float(stdtrit(len({name for name, _ in pairs}) - 1, 0.5 + level / 2)) * se
    return Interval(mean, mean - reach, mean + reach)


def _alpha(units: Sequence[Sequence[Label]]) -> float | None:
    if len({label.annotator or "" for unit in units for label in unit}) < 2:
        return None
    by_rater = [{label.annotator or "": label.score for label in unit} for unit in units]
    return krippendorff_alpha([list(unit.values()) for unit in by_rater], "interval").value


def _overall(whole: TypeCalibration, rows: Sequence[TypeCalibration]) -> TypeCalibration:
    """Return the row of all types: agreement over all items, the estimate as the mean of the types'."""
    found = [row.estimate for row in rows if row.estimate is not None]
    estimate = None
    if found and len(found) == len(rows):
        mean = math.fsum(row.value for row in found) / len(found)
        # Half-widths of independent types add up as their errors do.
        reach = math.sqrt(math.fsum(((row.high - row.low) / 2) ** 2 for row in found)) / len(found)
        estimate = Interval(mean, mean - reach, mean + reach)
    means = [row.judge_mean for row in rows if row.judge_mean is not None]
    return TypeCalibration(
        type=OVERALL,
        units="people" if all(row.units == "people" for row in rows) else "judge",
        estimate=estimate if len({row.units for row in rows}) == 1 else None,
        judge_mean=math.fsum(means) / len(means) if means else None,
        items=whole.items,
        labels=whole.labels,
        wanted=sum(row.wanted for row in rows),
        agreement=whole.agreement,
        length=whole.length,
        people_alpha=whole.people_alpha,
        ppi=None,
    )


@dataclass(frozen=True, slots=True)
class PeopleDifference:
    """The difference a − b between two models in people's units (PPI++), or why it stays in the judge's.

    ``labels`` counts the items of which people scored both answers; ``wanted`` how many such are lacking.
    """

    type: str
    labels: int
    wanted: int
    left_out: int
    estimate: PpiMean | None


def people_differences(
    a: Sequence[Judgement],
    b: Sequence[Judgement],
    labels_a: Iterable[Label],
    labels_b: Iterable[Label],
    *,
    level: float = 0.9,
) -> list[PeopleDifference]:
    """Estimate differences between two models by type, from labels of both models' answers and judgements.

    Differences by item are what PPI++ is applied to, so that what both models share drops out of both parts.
    Items of ``a`` that lack a score in one are left out and counted.  The last row is of all items together.
    """
    given = [_by_item(x, {row.item for row in rows}) for x, rows in ((labels_a, a), (labels_b, b))]
    other = {row.item: row.score for row in b}
    types: dict[str, list[tuple[Judgement, float]]] = {row.type: [] for row in a}
    left = dict.fromkeys(types, 0)
    for row in a:
        score = other.get(row.item)
        if row.score is not None and score is not None:
            types[row.type].append((row, row.score - score))
        else:
            left[row.type] += 1
    rows = [_difference(kind, pairs, given, left[kind], level) for kind, pairs in types.items()]
    if len(rows) > 1:
        every = [pair for pairs in types.values() for pair in pairs]
        rows.append(_difference("all items", every, given, sum(left.values()), level))
    return rows


def _difference(
    kind: str,
    pairs: Sequence[tuple[Judgement, float]],
    given: Sequence[Mapping[str, Sequence[Label]]],
    left: int,
    level: float,
) -> PeopleDifference:
    both = [(row, d) for row, d in pairs if all(row.item in labels for labels in given)]
    rest = [(row, d) for row, d in pairs if not all(row.item in labels for labels in given)]
    clusters = [row.group or row.item for row, _ in both]
    wanted = max(0, LABELS_WANTED - len(both))
    if wanted or len(set(clusters)) < 2:
        return PeopleDifference(kind, len(both), wanted, left, None)
    means = [np.array([np.mean([x.score for x in labels[row.item]]) for row, _ in both]) for labels in given]
    found = ppi_mean(
        means[0] - means[1],
        [d for _, d in both],
        [d for _, d in rest],
        clusters=clusters,
        clusters_only=[row.group or row.item for row, _ in rest],
        bounds=(-1.0, 1.0),
        level=level,
    )
    return PeopleDifference(kind, len(both), 0, left, found)
