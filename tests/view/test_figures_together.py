"""Figures that are read together, paths told in steps, lines without what nobody sees."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hostile import NASTY
from hypothesis import given
from hypothesis import strategies as st

from assay.core import StudyResult
from assay.view import keep_command, name_command, study_command, write_report
from assay.view._first import _bought
from assay.view._format import MINUS, measured, together
from assay.view._panel import bent
from assay.view._svg import path, ticks

NUMBERS = st.floats(-500, 500, allow_nan=False)


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS))
def test_figures_together_have_the_same_decimals_and_no_sign_at_zero(values: tuple[float, ...]) -> None:
    shown = together(*values)
    assert len({len(text.partition(".")[2]) for text in shown}) == 1
    for value, text in zip(values, shown, strict=True):
        read = float(text.replace(MINUS, "-"))
        digits = len(text.partition(".")[2])
        assert abs(read - value) <= 0.5000001 * 10**-digits
        assert (text[0] in f"+{MINUS}") == (read != 0)


@given(st.floats(-5, 5), st.floats(1e-3, 1e6), st.integers(4, 6))
def test_an_axis_has_some_round_ticks(low: float, span: float, about: int) -> None:
    made = ticks(low, low + span, about)
    assert about / 2 <= len(made) <= 2 * about and all(low - 1e-6 <= t <= low + span + 1e-6 for t in made)


def test_a_figure_of_no_known_unit_has_three_digits() -> None:
    assert [measured(v) for v in (0.566468, 12.3456, 1234.5, -0.25, 0.0)] == [
        "0.566", "12.3", "1,234", f"{MINUS}0.25", "0",
    ]  # fmt: skip


def test_an_interval_never_mixes_decimals() -> None:
    assert together(0.031, 0.0011, 0.05) == ("+0.031", "+0.001", "+0.050")
    assert together(0.0018, 0.0001, 0.004) == ("+0.0018", "+0.0001", "+0.0040")
    assert _bought("math", 0.016, 0.00004, 0.044, None).word == "undecided"  # it is shown from 0
    assert _bought("math", 0.016, 0.001, 0.044, None).word == "rising"


@given(st.lists(st.tuples(st.floats(0, 400), st.floats(0, 400)), min_size=1, max_size=12))
def test_a_path_leads_through_its_points(points: list[tuple[float, float]]) -> None:
    numbers = [float(text) for text in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", path(points))]
    places = list(itertools.accumulate(_pairs(numbers), lambda a, b: (a[0] + b[0], a[1] + b[1])))
    assert len(places) == len(points)
    for (x, y), (a, b) in zip(places, points, strict=True):
        assert abs(x - a) < 0.051 and abs(y - b) < 0.051


def _pairs(numbers: list[float]) -> list[tuple[float, float]]:
    return list(zip(numbers[::2], numbers[1::2], strict=True))


@given(st.lists(st.tuples(*[st.floats(0, 200)] * 3), min_size=2, max_size=40))
def test_a_line_without_some_rows_is_where_it_was(values: list[tuple[float, float, float]]) -> None:
    rows = [(float(place), *row) for place, row in enumerate(values)]
    kept = bent(rows, 0.25)
    assert kept[0] == rows[0] and kept[-1] == rows[-1]
    for left, right in itertools.pairwise(kept):
        for row in rows[int(left[0]) : int(right[0]) + 1]:
            share = (row[0] - left[0]) / (right[0] - left[0])
            drawn = [a + share * (b - a) for a, b in zip(left[1:], right[1:], strict=True)]
            assert row[1:] == pytest.approx(drawn, abs=0.2501)


def test_commands_name_the_file_that_a_study_was_run_from(result: StudyResult, tmp_path: Path) -> None:
    (page,) = [p for p in write_report(result, tmp_path / "stored") if p.name == "report.html"]
    assert "assay study run <span" in page.read_text() and study_command(tmp_path / "stored") is None
    folder = tmp_path / "runs"
    keep_command(folder, f"{NASTY}.yaml --set ladder.seeds=5")
    (folder / "report.html").write_bytes(page.read_bytes())
    for _ in range(2):  # a copy of the stored page, then one written anew
        name_command(folder)
        text = (folder / "report.html").read_text()
        assert ">&lt;script&gt;alert(" in text and ".yaml --set ladder.seeds=5</span> --set" in text
        assert f"{NASTY}.yaml" not in text and ">study.yaml<" not in text
        write_report(result, folder)
    keep_command(folder, "")
    assert (
        study_command(folder / "base") == f"{NASTY}.yaml --set ladder.seeds=5"
    )  # of a study of several bases
