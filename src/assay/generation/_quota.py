"""Quotas of types from what a study found."""

from __future__ import annotations

from assay.core import BASE_ARM, OVERALL, TASK_TYPES, AssayError, CurveResult, StudyResult, task_type


def quota_from(
    result: StudyResult, n: int, *, metric: str = "score", arm: str | None = None
) -> dict[str, int]:
    """Return how many of ``n`` tasks to ask for of each type whose curve still rises.

    A type counts by its curve of ``metric`` (and ``arm``, where the study has several; the first by default):
    its verdict is rising, that is, the next doubling of data brings at least the threshold with probability
    0.9.  Types share equally; the remainder goes to the greatest gains.  Raises :class:`AssayError` where no
    type rises: then more data of this kind is not what the study asks for.
    """
    arms = list(dict.fromkeys(c.arm for c in result.curves if c.arm != BASE_ARM))
    chosen = arm or (arms[0] if arms else "")
    rising: dict[str, float] = {}
    for curve in result.curves:
        if curve.arm == chosen and curve.metric == metric and curve.type != OVERALL and _rises(curve):
            assert curve.verdict is not None  # noqa: S101 - it rises
            rising[task_type(curve.type)] = curve.verdict.gain
    known = {kind: gain for kind, gain in rising.items() if kind in TASK_TYPES}
    if not known:
        seen = sorted({f"{c.arm}/{c.metric}" for c in result.curves})
        raise AssayError(
            "no type is still rising",
            place=result.name,
            value=f"{chosen}/{metric}",
            expected=f"a verdict `rising` among {', '.join(seen) or 'no curves'}",
            hint="more data of the same kind is not expected to help; give quotas of your own if you want it",
        )
    order = sorted(known, key=lambda kind: (-known[kind], kind))
    return {kind: n // len(order) + (i < n % len(order)) for i, kind in enumerate(order)}


def _rises(curve: CurveResult) -> bool:
    return curve.verdict is not None and curve.verdict.word == "rising"
