"""What labels took of people's time, from when they were saved."""

from __future__ import annotations

import pytest

from assay.annotation._values import HumanLabel
from assay.annotation._work import USUAL, work_of
from assay.view import said


def label(item: int, annotator: str, at: str) -> HumanLabel:
    return HumanLabel(str(item), annotator, None, "x", None, "", f"2026-11-30T{at}+00:00", None, item)


def test_pauses_do_not_count_and_annotators_are_apart() -> None:
    times = ["10:00:00", "10:00:20", "10:00:40", "10:01:00", "10:01:20", "10:01:40", "12:00:00"]
    given = [label(i, "an", at) for i, at in enumerate(times)]
    given += [label(i, "bo", at) for i, at in enumerate(["10:00:10", "10:00:30"])]
    found = work_of(given, 20)
    assert found.each == 20.0 and found.learned
    assert found.seconds == pytest.approx(9 * 20), "what came before a first label counts as the others"
    assert (found.labels, found.open) == (9, 11)
    assert "11 labels" in said(found.before()) and "9 labels" in said(found.after(), "en")


def test_before_any_label_it_is_a_plain_guess() -> None:
    found = work_of([], 40)
    assert (found.seconds, found.open, found.each, found.learned) == (0.0, 40, USUAL, False)
    assert [say.key for say in found.said()] == ["annotate.work.before.rough"]
    assert "20" in said(found.before(), "zh")
