"""Types are put in order before anything is trained; a line fitted on a pilot makes sizes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import assay
from assay import view
from assay.core import AssayError

TYPES = ("math", "code", "classification", "extraction", "open_qa", "rewrite")
SMALL = {"drawn": 8, "most": 40, "max_new_tokens": 4}


@pytest.fixture(scope="module")
def pilot(writer: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of six types that has a report, and a file of samples beside it."""
    folder = tmp_path_factory.mktemp("pilot")
    path = writer(
        folder, name="pilot", pool={"testbed": {"samples": 160, "types": list(TYPES)}},
        evaluation={"testbed": {"samples": 36, "seed": 1, "types": list(TYPES)}},
        ladder={"rungs": [32, 128], "seeds": 1}, measure={"answers": False, "text": False},
        control=False, recipe_check=False,
    )  # fmt: skip
    assay.study.run(path)
    assay.data.testbed(240, folder / "data.jsonl", seed=3)
    return path


@pytest.fixture
def there(pilot: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(pilot.parent)
    return pilot


def test_types_are_in_order_without_coefficients(there: Path) -> None:
    found = assay.forecast(["data.jsonl"], store="store", pool="inline", **SMALL)
    cosines = [t.agreement.cosine for t in found.types]
    assert len(found.types) == 12 and all(c is not None and -1 <= c <= 1 for c in cosines)
    assert cosines == sorted(cosines, key=lambda c: c or 0)
    for one in found.types:
        own = one.agreement
        assert own.low is not None and own.high is not None and own.low <= own.high
        assert own.drawn == 8 and own.answered == own.samples <= 40 and one.area is None
    shown = view.page_markdown(found.as_page())
    assert "gradients that agree least" in shown and "never a verdict" in shown and "Half" not in shown
    assert "96 forward and backward passes" in shown
    assert assay.forecast(["data.jsonl"], store="store", pool="inline", **SMALL) == found


def test_a_pool_without_types_is_named(
    study_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradients are those of training samples, the areas of evaluation items: types must be in both."""
    monkeypatch.chdir(tmp_path)
    rows = [{"instruction": f"Add {i} and {i + 1}.", "output": str(2 * i + 1)} for i in range(120)]
    Path("untyped.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = study_file(
        pool="untyped.jsonl", ladder={"rungs": [16, 32], "seeds": 1}, control=False, recipe_check=False,
        measure={"answers": False, "text": False},
    )  # fmt: skip
    assay.study.run(path)
    with pytest.raises(AssayError, match="no sample of the pool is of a type") as caught:
        assay.forecast_fit(path, out="none.json", **SMALL)
    assert "untyped" in str(caught.value) and "evalset classify" in str(caught.value)


def test_too_few_samples_have_no_value_but_a_reason(there: Path) -> None:
    lines = Path("data.jsonl").read_text().splitlines()[:30]
    Path("few.jsonl").write_text("\n".join(lines) + "\n")
    found = assay.forecast(["few.jsonl"], store="store", pool="inline", **SMALL)
    assert all(t.agreement.cosine is None and "fewer than 8" in t.agreement.reason for t in found.types)
    for language, said in (("en", "Nothing can be forecast"), ("zh", "无法从这些样本做出预测")):
        shown = view.page_markdown(replace(found, language=language).as_page())
        assert said in shown
    assert "少于 8" in shown


def test_a_pilot_gives_coefficients_with_their_own_error(there: Path) -> None:
    fitted = assay.forecast_fit(there, out="line.json", **SMALL)
    assert fitted.metric == "loss" and fitted.largest == 128 and set(fitted.types) == set(TYPES)
    assert fitted.fit.n == 6 and fitted.fit.error > 0 and fitted.rank is not None and fitted.rank.n == 6
    known = json.loads(Path("line.json").read_text())
    assert known["base"]["name"] == fitted.base and len(known["base"]["digest"]) == 64
    found = assay.forecast(
        ["data.jsonl"], coefficients="line.json", store="store", pool="inline", out="page.html", **SMALL
    )
    areas = [t.area[0] for t in found.types if t.area]
    assert len(areas) == 12 and areas == sorted(areas)
    for one in found.types:
        assert one.area is not None and one.half is not None
        assert one.area[1] <= one.area[0] <= one.area[2] and one.half[1] <= one.half[0] <= one.half[2]
    poor = any("not shown to be better than chance" in str(note) for note in found.notes)
    assert poor == (fitted.rank.low <= 0), "a forecast that foretells nothing says so where it is used"
    assert found.error == fitted.fit.error and list(found.rungs) == sorted(found.rungs)
    assert "never a verdict" in Path("page.html").read_text()


def test_coefficients_of_another_base_or_other_settings_are_refused(there: Path) -> None:
    assay.forecast_fit(there, out="line.json", **SMALL)
    other = json.loads(Path("line.json").read_text())
    other["base"] = {"name": "elsewhere", "digest": "0" * 64}
    Path("other.json").write_text(json.dumps(other))
    asked = {"store": "store", "pool": "inline", **SMALL}
    with pytest.raises(AssayError, match="another base model"):
        assay.forecast(["data.jsonl"], coefficients="other.json", **asked)
    forced = assay.forecast(["data.jsonl"], coefficients="other.json", other_models=True, **asked)
    assert any("elsewhere" in str(note) for note in forced.notes)
    with pytest.raises(AssayError, match="other settings"):
        assay.forecast(["data.jsonl"], coefficients="line.json", **{**asked, "drawn": 9})
    Path("bad.json").write_text(json.dumps({"fit": {}}))
    with pytest.raises(AssayError, match="no coefficients"):
        assay.forecast(["data.jsonl"], coefficients="bad.json", **asked)
    with pytest.raises(AssayError, match="no report"):
        assay.forecast_fit(there, out="none.json", set=["where.out=nowhere"], **SMALL)


def test_a_type_that_no_rung_made_better_has_no_area(there: Path) -> None:
    """Its lowest loss is above the untrained model's: a share of that would read harm as gain."""
    report = json.loads((there.parent / "report/result.json").read_text())
    for point in report["points"]:
        if point["type"] == "math" and point["arm"] == "base":
            point["value"] = 0.1
    Path("worse").mkdir()
    Path("worse/result.json").write_text(json.dumps(report))
    found = assay.forecast_fit(there, out="line.json", set=["where.out=worse"], **SMALL)
    assert found.left_out == ("math",) and set(found.types) == set(TYPES) - {"math"}
    assert "math" in view.page_markdown(found.as_page())
