"""Each law of the suites fails for a plug-in that breaks it."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from assay.core import AssayError
from assay.testing import (
    CurveFormSuite,
    IndicatorSuite,
    JudgeSuite,
    MetricSuite,
    PoolSuite,
    ReaderSuite,
    SelectionSuite,
    TrainerSuite,
)
from packages import install


class Lines(ReaderSuite):
    def examples(self, folder: Path) -> Mapping[Path, int]:
        (folder / "a.lines").write_text("one\ntwo\nthree\n", encoding="utf-8")
        return {folder / "a.lines": 3}


BROKEN: dict[type, dict[str, tuple[str, str]]] = {
    IndicatorSuite: {
        "remembers": ("REMEMBERS", "test_the_order_of_rows_changes_nothing"),
        "by-place": ("BY_PLACE", "test_the_order_of_rows_changes_nothing"),
        "by-batch": ("BY_BATCH", "test_the_size_of_batches_changes_nothing"),
        "nan": ("NAN", "test_each_sample_has_a_value_or_a_reason"),
        "no-reason": ("NO_REASON", "test_each_sample_has_a_value_or_a_reason"),
        "few": ("FEW", "test_each_sample_has_a_value_or_a_reason"),
        "sorts": ("SORTS", "test_what_it_is_given_is_left_alone"),
        "hashes": ("HASHES", "test_values_are_the_same_in_every_process"),
        "no-unit": ("NO_UNIT", "test_it_says_what_it_is"),
        "not-there": ("", "test_it_is_known_by_its_name"),
    },
    SelectionSuite: {
        "stands": ("STANDS", "test_where_samples_stood_changes_nothing"),
        "twice": ("TWICE", "test_every_row_is_there_once"),
        "too-few": ("TOO_FEW", "test_every_row_is_there_once"),
        "unscored": ("UNSCORED", "test_rows_without_a_score_are_not_selected"),
        "overwrites": ("OVERWRITES", "test_what_it_is_given_is_left_alone"),
        "hashed": ("HASHED", "test_values_are_the_same_in_every_process"),
    },
    JudgeSuite: {
        "two": ("TWO", "test_each_answer_has_a_score_or_a_reason"),
        "nothing": ("NOTHING", "test_each_answer_has_a_score_or_a_reason"),
        "blank": ("BLANK", "test_each_answer_has_a_score_or_a_reason"),
        "never": ("NEVER", "test_some_answers_have_a_score"),
        "moody": ("MOODY", "test_the_order_of_answers_changes_nothing"),
        "hashing": ("HASHING", "test_values_are_the_same_in_every_process"),
    },
    MetricSuite: {
        "two": ("TWO", "test_each_answer_has_a_value_within_its_bounds_or_a_reason"),
        "never": ("NEVER", "test_each_answer_has_a_value_within_its_bounds_or_a_reason"),
        "upside-down": ("UPSIDE_DOWN", "test_it_says_what_it_is"),
        "sideways": ("SIDEWAYS", "test_it_says_what_it_is"),
        "moody": ("MOODY", "test_the_order_of_answers_changes_nothing"),
    },
    Lines: {
        "greedy": ("GREEDY", "test_other_files_are_left_to_others"),
        "skips": ("SKIPS", "test_every_row_is_kept_or_rejected"),
        "whims": ("WHIMS", "test_values_are_the_same_in_every_process"),
        "litters": ("LITTERS", "test_files_are_left_alone"),
        "elsewhere": ("ELSEWHERE", "test_its_files_are_found_in_a_folder"),
    },
    TrainerSuite: {
        "deaf": ("deaf", "test_an_interrupted_run_goes_on"),
        "restless": ("restless", "test_segments_are_the_whole_run"),
    },
    CurveFormSuite: {
        "flat": ("FLAT", "test_the_prior_is_of_the_scale"),
        "falls": ("FALLS", "test_the_prior_is_of_the_scale"),
        "mixes": ("MIXES", "test_many_curves_are_as_one_by_one"),
        "thin": ("THIN", "test_curves_have_a_value_at_every_size"),
        "bursts": ("BURSTS", "test_curves_have_a_value_at_every_size"),
    },
    PoolSuite: {
        "liar": ("Liar", "test_it_starts_anew_after_it_was_stopped"),
        "mute": ("Mute", "test_errors_keep_their_parts"),
        "mortal": ("Mortal", "test_it_starts_anew_after_it_was_stopped"),
    },
}
CASES = [
    pytest.param(suite, name, law, id=f"{suite.__name__}-{name}")
    for suite, wrong in BROKEN.items()
    for name, (_, law) in wrong.items()
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    entries: dict[str, dict[str, str]] = {}
    for suite, wrong in BROKEN.items():
        group = suite.plugins.group if suite is not TrainerSuite else "assay.trainers"
        # One reader alone, or they would all know the file.
        entries[group] = {n: v for n, (v, _) in wrong.items() if v and suite is not Lines}
    code = Path(__file__).with_name("wrong_plugins.py").read_text(encoding="utf-8")
    place = tmp_path_factory.mktemp("wrong")
    for name, (value, _) in BROKEN[Lines].items():
        one = {"assay.readers": {name: value}}
        install(place / name, code, one, name=f"wrong-{name}", module="wrong_readers")
    return install(place, code, entries, name="wrong-plugins", module="wrong_plugins_installed")


@pytest.mark.parametrize(("suite", "name", "law"), CASES)
def test_the_law_fails_for_what_breaks_it(
    suite: Any, name: str, law: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    if suite is Lines:
        monkeypatch.syspath_prepend(str(folder / name))
    one = type(suite.__name__, (suite,), {"name": name})()
    check = getattr(one, law)
    more = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(check).parameters else {}
    with pytest.raises((AssertionError, AssayError, ValueError, RuntimeError)) as caught:
        check(**more)
    # It was found: what failed is the law.
    said = str(caught.value)
    assert ("no such" in said or "no entry point" in said) == (name == "not-there"), said
    assert ("cannot be used" in said) == (name == "sideways"), said


def test_suites_need_neither_pytest_nor_torch() -> None:
    code = (
        "import sys; from assay.testing import IndicatorSuite, JudgeSuite, PoolSuite, ReaderSuite; "
        "print([name for name in ('pytest', 'torch') if name in sys.modules])"
    )
    path = os.pathsep.join(part for part in sys.path if part)
    found = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == "[]"


def laws(suite: Any) -> set[str]:
    return {name for name in dir(suite) if name.startswith("test_")}


def test_suites_are_not_collected_by_themselves() -> None:
    """Their names do not begin as pytest's classes do, so that importing one runs nothing."""
    for suite in BROKEN:
        assert not suite.__name__.startswith("Test") and len(laws(suite)) >= 7
